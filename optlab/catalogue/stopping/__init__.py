"""Stopping rules: conditions that end a run before its budget is used up."""
