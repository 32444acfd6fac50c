"""Losses: what is minimized on each example, and what is counted as an error."""
