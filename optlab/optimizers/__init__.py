"""Optimizers: update rules as pure functions on ``theta [R, P]``."""
