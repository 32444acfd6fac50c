"""Delayed gradients, as in asynchronous training."""
