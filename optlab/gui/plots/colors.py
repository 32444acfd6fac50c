"""Colors of the plots, the same as in all drawings; see :mod:`optlab.core.palette`."""

from __future__ import annotations

from optlab.core.palette import DARK, LIGHT, PlotColors, mixed

__all__ = ["DARK", "LIGHT", "PlotColors", "mixed"]
