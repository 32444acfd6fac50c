"""Live plots: they receive NumPy arrays and draw at most once a frame."""
