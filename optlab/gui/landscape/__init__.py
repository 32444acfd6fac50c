"""The window that shows the loss around the weights of a run: slices, spectrum, critical point."""
