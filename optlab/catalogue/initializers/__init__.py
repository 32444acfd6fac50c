"""Initializers: the parameters at which training starts."""
