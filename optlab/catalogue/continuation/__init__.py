"""Continuation: a sequence of smoothed objectives, from easy to hard."""
