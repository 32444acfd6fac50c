"""Numerical methods for R runs at once: linear solves, Krylov spaces, line searches.

Second-order optimizers and instruments share them; they know nothing of models or experiments.
"""
