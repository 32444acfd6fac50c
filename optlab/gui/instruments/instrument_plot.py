"""The plot of quantities of an instrument that share an axis, on which other runs can be laid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optlab.gui.plots.overlaid_plot import Line, OverlaidPlot


class InstrumentPlot(OverlaidPlot):
    """A plot of some quantities of one instrument.

    Args:
        label: of the axis. instrument: name of the instrument. log_y: start with a logarithmic axis.
    """

    def __init__(self, label: str, instrument: str, *, log_y: bool) -> None:
        super().__init__(label, log_y=log_y)
        self._instrument = instrument
        self._lines: list[Line] = []

    def add_quantity(self, name: str, label: str) -> None:
        """Let the plot draw a quantity, of other runs where it is one number a reading."""
        series = f"{self._instrument}.{name}"
        self._lines.append(Line(series, label, len(self._lines), strong=True, optional=True))

    @property
    def lines(self) -> Sequence[Line]:
        """The quantities, in the order of their declaration."""
        return self._lines

    def own_key(self, line: Line) -> str:
        """Return the key of the curve of a quantity: its name."""
        return line.name.partition(".")[2]

    def add_curve(self, key: str, label: str, color: int = 0, **style: Any) -> None:
        """Add an empty curve, unless the key exists; see :meth:`CurvePlot.add_curve`."""
        new = key not in self.keys
        super().add_curve(key, label, color, **style)
        if new and not self.is_overlay(key):
            self.rearrange()
