"""A function of one variable, with methods as balls on it and tangents at the balls (Fig 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import mixed
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.relief import Floats, Track
from optlab.gui.plots.ticks import readable

_TANGENT = 0.12
"""Half the length of a tangent, as a share of the width of the view."""


class LinePlot(PlotFrame):
    """The graph of a function with tracks on it.

    Signals: ``pointPicked(float)``: this x was clicked.
    """

    pointPicked = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Function of one variable")
        self.follow_button.setText("Reset view")
        self._x: Floats = np.zeros(0)
        self._heights: Floats = np.zeros(0)
        self._tracks: tuple[Track, ...] = ()
        self.canvas.x_axis.set_label("x")
        self.canvas.y_axis.set_label("f(x)")
        self.line = pg.PlotCurveItem(antialias=True, connect="finite")
        self.tangents = pg.PlotCurveItem(antialias=True, connect="pairs")
        self.visited = pg.ScatterPlotItem(pxMode=True)
        self.balls = pg.ScatterPlotItem(pxMode=True)
        for depth, item in enumerate((self.line, self.visited, self.tangents, self.balls)):
            item.setZValue(depth)
            self.canvas.view.addItem(item, ignoreBounds=True)
        self.canvas.scene().sigMouseClicked.connect(self._clicked)

    def set_function(self, x: Floats, heights: Floats) -> None:
        """Show another function: heights ``[n]`` at ``x`` ``[n]``."""
        self._x, self._heights, self._tracks = x, heights, ()
        self.follow()

    def set_tracks(self, tracks: Sequence[Track]) -> None:
        """Show tracks with points ``[n, 1]``; their ``gradient`` ``[1]`` is the tangent's slope."""
        self._tracks = tuple(tracks)
        self._mark_stale(soon=True)

    def _height(self, x: Floats) -> Floats:
        values: Floats = np.interp(x, self._x, self._heights, left=np.nan, right=np.nan)
        return values

    def _inside(self, x: Floats) -> Floats:
        """Return those of the points ``[n]`` at which the function is drawn."""
        kept: Floats = x[np.isfinite(self._height(x))]
        return kept

    def _draw(self) -> None:
        finite = self._heights[np.isfinite(self._heights)]
        if not len(finite):
            self._show_message("No function yet…")
            return
        self._show_message("")
        colors = self.colors
        self.line.setPen(
            pg.mkPen(mixed(colors.foreground, colors.background, 0.25), width=2 * colors.line)
        )
        self.line.setData(self._x, self._heights)
        if self.following:
            low, high = float(finite.min()), float(finite.max())
            room = 0.06 * max(high - low, 1e-9)
            self.canvas.view.setRange(
                xRange=(self._x[0], self._x[-1]),
                yRange=(low - room, high + room),
                padding=0.0,
                disableAutoRange=True,
            )
        visited = [(track, self._inside(track.points[:, 0])) for track in self._tracks]
        self.visited.setData(
            x=np.concatenate([x for _, x in visited]) if visited else [],
            y=np.concatenate([self._height(x) for _, x in visited]) if visited else [],
            size=6 * colors.scale,
            pen=None,
            brush=[
                QColor(mixed(colors.curve(track.color), colors.background, 0.45))
                for track, x in visited
                for _ in x
            ],
        )
        ends = [
            (track, float(track.points[-1, 0]))
            for track in self._tracks
            if len(self._inside(track.points[-1:, 0]))
        ]
        positions = np.array([x for _, x in ends])
        self.balls.setData(
            x=positions,
            y=self._height(positions) if len(positions) else positions,
            size=14 * colors.scale,
            brush=[QColor(colors.curve(track.color)) for track, _ in ends],
            pen=pg.mkPen(colors.background, width=1.5 * colors.line),
        )
        reach = _TANGENT * (self._x[-1] - self._x[0])
        strokes: list[tuple[float, float]] = []
        for track, x in ends:
            if track.gradient is not None:
                height, slope = float(self._height(np.array([x]))[0]), float(track.gradient[0])
                strokes += [
                    (x - reach, height - slope * reach),
                    (x + reach, height + slope * reach),
                ]
        points = np.array(strokes).reshape(-1, 2)
        self.tangents.setPen(pg.mkPen(colors.curve(1), width=1.5 * colors.line))
        self.tangents.setData(points[:, 0], points[:, 1])

    def _clicked(self, event: Any) -> None:
        if len(self._x) and event.button() == Qt.MouseButton.LeftButton and not event.double():
            position = event.scenePos()
            if self.canvas.view.sceneBoundingRect().contains(position):
                self.pointPicked.emit(float(self.canvas.view.mapSceneToView(position).x()))

    def _update_readout(self) -> None:
        if self._mouse is None or not len(self._x):
            self._hide_readout()
            return
        x = float(self.canvas.view.mapSceneToView(self._mouse).x())
        slope = float(np.interp(x, self._x, np.gradient(self._heights, self._x)))
        self._show_readout(
            f"x = {readable(x, 3)}&nbsp; "
            f"f = {readable(float(self._height(np.array([x]))[0]), 4)}"
            f"<br>slope {readable(slope, 3)}"
        )
