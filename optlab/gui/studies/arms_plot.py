"""A plot of the arms of a study: the mean of each over its seeds, in a band that is its interval."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtGui import QBrush, QColor, QPen, QPolygonF
from PySide6.QtWidgets import QGraphicsPolygonItem, QWidget

from optlab.gui.plots.curve import Curve
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.tasks.study_news import Band

_OPACITY = 0.20
_LEAST_SHARE = 1e-3
"""Share of the mean at which a band that reaches zero ends on a logarithmic axis."""


class ArmsPlot(CurvePlot):
    """Draws the bands of the arms."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", log_y=True, parent=parent)
        self.setAccessibleName("Curves of the arms")
        self.empty_text = "Curves appear here as soon as the first values are stored…"
        self._bands: dict[str, Band] = {}
        self._areas: dict[str, QGraphicsPolygonItem] = {}

    def set_series(self, name: str) -> None:
        """Name the series that is drawn."""
        self.canvas.y_axis.set_label(name)
        self.setAccessibleName(f"{name} of the arms over the steps")

    def set_bands(self, bands: Mapping[str, tuple[int, Band | None]]) -> None:
        """Draw the arms in place of those before.

        Args:
            bands: arm → index into the palette, and its band; None before it has one.
        """
        for key in self.keys:
            if key not in bands:
                self.remove_curve(key)
                self.canvas.view.removeItem(self._areas.pop(key))
        self._bands = {}
        for name, (color, band) in bands.items():
            if name not in self.keys:
                self.add_curve(name, name, color, strong=True)
                area = QGraphicsPolygonItem()
                area.setZValue(-1)
                area.setPen(QPen(QColor(0, 0, 0, 0)))
                self.canvas.view.addItem(area, ignoreBounds=True)
                self._areas[name] = area
            if band is None:
                self.replace(name, np.empty(0), np.empty(0))
            else:
                self._bands[name] = band
                self.replace(name, band.steps, band.mean)
        self._mark_stale(soon=True)

    def band(self, name: str) -> Band | None:
        """Return what is drawn of an arm."""
        return self._bands.get(name)

    def _fit(self, curves: list[Curve], low: float, high: float) -> None:
        shown = [band for name, band in self._bands.items() if self.curve_visible(name)]
        for band in shown:
            ends = np.concatenate([band.low, band.high])
            ends = ends[np.isfinite(ends)]
            if self.log_y:
                ends = ends[ends > 0.0]
            if len(ends):
                # Early intervals of two runs may be wide; they must not hide the curves.
                reach = abs(high - low) or abs(high) or 1.0
                low = min(low, max(float(ends.min()), low / 3.0 if self.log_y else low - reach))
                high = max(high, min(float(ends.max()), high * 3.0 if self.log_y else high + reach))
        super()._fit(curves, low, high)

    def _draw(self) -> None:
        super()._draw()
        bottom, top = self.canvas.view.viewRange()[1]
        far = 1e3 * (top - bottom)
        for name, area in self._areas.items():
            band = self._bands.get(name)
            shown = band is not None and self.curve_visible(name)
            area.setVisible(shown)
            if band is None or not shown:
                continue
            ink = QColor(self.curve(name).ink(self.colors))
            ink.setAlphaF(_OPACITY)
            area.setBrush(QBrush(ink))
            area.setPolygon(self._polygon(band, bottom - far, top + far))

    def _polygon(self, band: Band, bottom: float, top: float) -> QPolygonF:
        there = np.isfinite(band.low) & np.isfinite(band.high)
        if self.log_x:
            there &= band.steps > 0
        if self.log_y:
            there &= band.mean > 0.0
        steps, low, high = band.steps[there].astype(float), band.low[there], band.high[there]
        if self.log_y:
            low = np.maximum(low, _LEAST_SHARE * band.mean[there])
        x, lower = self._to_view(steps, low, bottom, top)
        _, upper = self._to_view(steps, high, bottom, top)
        outline = zip(
            np.concatenate([x, x[::-1]]), np.concatenate([upper, lower[::-1]]), strict=True
        )
        return QPolygonF([QPointF(across, up) for across, up in outline])
