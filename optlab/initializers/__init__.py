"""Initializers: where training starts."""
