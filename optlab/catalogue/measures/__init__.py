"""Measures: quantities taken while training, each becoming a series."""
