"""Figures of the notes, computed by live runs of the engine and drawn without a window or display.

:mod:`optlab.studies.figures.base` defines a figure, :mod:`optlab.studies.figures.notes` has one
file for each, and only :mod:`optlab.studies.figures.page` uses the drawing library.
"""
