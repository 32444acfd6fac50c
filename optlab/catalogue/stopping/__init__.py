"""Stopping: when a run ends before its budget does."""
