"""Choosing a learning rate and a start: range test, short runs side by side, initializers compared."""
