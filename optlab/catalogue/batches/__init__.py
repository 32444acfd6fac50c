"""Batches: how many examples a step uses, and in which order."""
