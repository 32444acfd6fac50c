"""A forest plot: the effect of each comparison with its interval, against the margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtGui import QBrush, QColor, QPen
from PySide6.QtWidgets import QGraphicsRectItem, QWidget

from optlab.core.printable import printable
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.studies.comparison.words import comparison_subject, interval, needed_words, number

NO_RESULT = (
    "The verdict comes when all seeds are there: to decide earlier, as soon as it looks good, would "
    "find effects where there are none."
)
_PAD = 0.08
_OPEN = 0.5
"""How far an open end reaches beyond everything that is finite, in shares of that."""


@dataclass(frozen=True)
class ForestRow:
    """One comparison as it is drawn.

    Attributes:
        label: what it is about. effect: NaN where unknown. low, high: ends of the interval,
            infinite where they are open. verdict: in words, with the seeds that would decide.
    """

    label: str
    effect: float
    low: float
    high: float
    verdict: str

    @classmethod
    def of(cls, comparison: Mapping[str, Any]) -> ForestRow:
        """Return the row of a comparison as ``study --json`` has it."""
        low, high = comparison["interval"]
        effect = comparison["effect"]
        more = needed_words(comparison)
        return cls(
            comparison_subject(comparison),
            math.nan if effect is None else float(effect),
            -math.inf if low is None else float(low),
            math.inf if high is None else float(high),
            f"{comparison['verdict']}; {more}" if more else str(comparison["verdict"]),
        )


class ForestPlot(PlotFrame):
    """Draws comparisons below each other; the margin is shaded."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Effects with their intervals")
        self.follow_button.setText("Reset view")
        self.follow_action.setText("Reset view")
        self.canvas.y_axis.hide()
        self.empty_text = NO_RESULT
        self._rows: tuple[ForestRow, ...] = ()
        self._margins = (0.0, 0.0)
        self._log = False
        self._items: list[Any] = []

    @property
    def rows(self) -> tuple[ForestRow, ...]:
        """What is drawn, from top to bottom."""
        return self._rows

    def show_comparisons(
        self, comparisons: Sequence[Mapping[str, Any]], effect: str, margin: float, measure: str
    ) -> None:
        """Draw comparisons in place of those before.

        Args:
            comparisons: as ``study --json`` has them; empty for none yet. effect: how arms are
                compared. margin: smallest effect that matters. measure: what is compared.
        """
        self._rows = tuple(ForestRow.of(one) for one in comparisons)
        self._log = effect == "ratio"
        self._margins = (1.0 / margin, margin) if self._log and margin else (-margin, margin)
        self.canvas.x_axis.setLogMode(x=self._log, y=False)
        self.canvas.x_axis.set_label(f"{effect} of {measure}" if measure else effect)
        self._mark_stale(soon=True)

    def drawn(self) -> list[tuple[float, float, float]]:
        """Return where effect and ends of each row are drawn, on the axis, from top to bottom."""
        return [tuple(map(self._at, (row.effect, row.low, row.high))) for row in self._rows]  # type: ignore[misc]

    def _at(self, value: float) -> float:
        """Return the coordinate of a value in the view."""
        if not self._log:
            return value
        return math.log10(value) if value > 0.0 else -math.inf

    def _draw(self) -> None:
        for item in self._items:
            self.canvas.view.removeItem(item)
        self._items = []
        self._show_message("" if self._rows else self.empty_text)
        if not self._rows:
            return
        places = self.drawn()
        margins = tuple(map(self._at, self._margins))
        finite = [one for row in places for one in row if math.isfinite(one)] + list(margins)
        left, right = min(finite), max(finite)
        room = (right - left) or 1.0
        if any(not math.isfinite(end) for row in places for end in row[1:]):
            left, right = left - _OPEN * room, right + _OPEN * room
        left, right = left - _PAD * room, right + _PAD * room
        self._add_margin(margins)
        for place, (row, (effect, low, high)) in enumerate(zip(self._rows, places, strict=True)):
            self._add_row(place, row, effect, max(low, left), min(high, right), left)
        if self.following:
            self.canvas.view.setRange(
                xRange=(left, right),
                yRange=(-len(self._rows) + 0.35, 0.75),
                padding=0.0,
                disableAutoRange=True,
            )

    def _add_margin(self, margins: tuple[float, ...]) -> None:
        low, high = margins
        area = QGraphicsRectItem(QRectF(low, -1000.0, high - low, 2000.0))
        ink = QColor(self.colors.foreground)
        ink.setAlphaF(0.12)
        area.setBrush(QBrush(ink))
        area.setPen(QPen(QColor(0, 0, 0, 0)))
        line = pg.InfiniteLine(
            0.0, angle=90, pen=pg.mkPen(self.colors.foreground, width=self.colors.line)
        )
        for item in (area, line):
            self._add(item, 0)

    def _add_row(
        self, place: int, row: ForestRow, effect: float, low: float, high: float, left: float
    ) -> None:
        ink = self.colors.curve(0)
        pen = pg.mkPen(ink, width=2.5 * self.colors.line)
        self._add(
            pg.PlotCurveItem(
                np.array([low, high]), np.full(2, -float(place)), pen=pen, antialias=True
            ),
            1,
        )
        ends = [
            (end, symbol)
            for end, known, symbol in ((low, row.low, "t3"), (high, row.high, "t2"))
            if not math.isfinite(known) or (self._log and known <= 0.0)
        ]
        for end, symbol in ends:
            self._add(
                pg.ScatterPlotItem([end], [-place], symbol=symbol, size=10, brush=ink, pen=None), 2
            )
        if math.isfinite(effect):
            self._add(pg.ScatterPlotItem([effect], [-place], size=11, brush=ink, pen=None), 2)
        for words, above in ((row.label, True), (row.verdict, False)):
            text = pg.TextItem(
                printable(words), color=self.colors.foreground, anchor=(0.0, 1.0 if above else 0.0)
            )
            text.setPos(left, (0.06 if above else -0.06) - place)
            self._add(text, 3)

    def _add(self, item: Any, depth: int) -> None:
        item.setZValue(depth)
        self.canvas.view.addItem(item, ignoreBounds=True)
        self._items.append(item)

    def _update_readout(self) -> None:
        if self._mouse is None or not self._rows:
            self._hide_readout()
            return
        place = round(-self.canvas.view.mapSceneToView(self._mouse).y())
        if not 0 <= place < len(self._rows):
            self._hide_readout()
            return
        row = self._rows[place]
        self._show_readout(
            f"{escape(printable(row.label))}: effect {number(row.effect)}, "
            f"{interval((row.low, row.high))}"
        )
