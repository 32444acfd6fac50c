"""Choosing a learning rate and a start: range test, short runs, comparison of initializers."""
