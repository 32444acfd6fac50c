"""Delayed gradients: what asynchronous training does to a step."""
