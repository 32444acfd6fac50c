"""Averaging of the iterates, which gives a smoother point than the last iterate."""
