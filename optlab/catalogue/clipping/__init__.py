"""Clipping: what is done to a gradient that is too large to be trusted as a step."""
