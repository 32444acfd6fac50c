"""Losses: the quantity that is minimized on each example."""
