"""Curvature: Hessian products, spectra, critical points and slices of the objective of R runs, all
from ``theta [R, P]`` and the data.
"""
