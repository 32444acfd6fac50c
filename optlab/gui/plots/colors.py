"""The colors of the window's plots: those of all drawings, see :mod:`optlab.palette`."""

from __future__ import annotations

from optlab.palette import DARK, LIGHT, PlotColors, mixed

__all__ = ["DARK", "LIGHT", "PlotColors", "mixed"]
