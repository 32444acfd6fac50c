"""Panels: the parts of the window. They get NumPy arrays and plain values, and never call torch."""
