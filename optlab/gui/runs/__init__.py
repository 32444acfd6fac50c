"""The runs panel, and the runs that plots show beside the one they follow."""
