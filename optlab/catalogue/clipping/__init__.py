"""Clipping: bounds on gradients that are too large for a step."""
