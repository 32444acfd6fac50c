"""Batches: how many examples a step sees, and in which order."""
