"""Numerics that second-order rules and instruments share: linear solves, Krylov spaces and line
searches for R runs at once.
"""
