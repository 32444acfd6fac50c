"""Live plots: NumPy arrays in, one drawing a frame out."""
