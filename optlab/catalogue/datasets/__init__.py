"""Data sets: real ones that ship inside an installed library, and generators with a known
distribution.
"""
