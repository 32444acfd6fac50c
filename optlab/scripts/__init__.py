"""Runs as programs of their own: plain PyTorch that repeats a run without OptLab.

Every rule stands in a script as the catalogue has it: :mod:`optlab.scripts.specialize` writes the
code of a component again, with its fields as numbers and the axis of runs left out.
"""
