"""Figures of speed: OptLab against what a user would pick instead, measured in the same process.

:data:`optlab.benchmarks.table.BENCHMARKS` lists them.
"""
