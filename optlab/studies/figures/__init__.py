"""Figures of the notes, drawn from live runs of the engine: for people's own texts, without a
window and without a display.

What a figure is stands in :mod:`optlab.studies.figures.base`, one file for each in
:mod:`optlab.studies.figures.notes`; :mod:`optlab.studies.figures.page` alone knows the library that
draws.
"""
