"""Curvature of the objective of R runs, from ``theta [R, P]`` and the data.

Spectra, critical points and slices.
"""
