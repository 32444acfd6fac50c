"""The colors of the window's plots: those of all drawings, see :mod:`optlab.core.palette`."""

from __future__ import annotations

from optlab.core.palette import DARK, LIGHT, PlotColors, mixed

__all__ = ["DARK", "LIGHT", "PlotColors", "mixed"]
