"""The path of a run in weight space, projected on its first two principal components."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QSizePolicy, QWidget

from optlab.core.limits import MAX_TRIVIAL_POINTS
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.colors import mixed, scaled_font
from optlab.gui.plots.plot_frame import NOTHING_YET, PlotFrame
from optlab.gui.plots.ticks import readable
from optlab.training.events import WeightPath

_SHADES = 24
"""Number of pieces of the line, colored from early to late."""
_READOUT_REACH = 30
"""Distance in pixels within which the mouse selects a point of the path."""
_NEAR = 0.25
"""Share of the extent of a path within which what lies there is near one of its ends."""
_CLEAR = 0.01
"""Share of the extent by which a path lies above or below an end: its label stays otherwise."""


class PathPlot(PlotFrame):
    """A line from the start to the current weights, colored by time.

    Both axes have the same scale, so lengths are comparable.
    """

    tile_title = "Path in weight space"
    tile_row, tile_position = 1, 2

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Path in weight space")
        self._run = 0
        self._path: WeightPath | None = None
        self._note = ""
        self.caption = PlainLabel()
        self.caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.caption.setWordWrap(True)
        self.header.insertWidget(0, self.caption, 1)
        self.follow_action.setText("Reset view")
        view = self.canvas.view
        view.setAspectLocked(True)
        self.pieces = [
            pg.PlotCurveItem(antialias=True, skipFiniteCheck=True) for _ in range(_SHADES)
        ]
        self.marks = pg.ScatterPlotItem(pxMode=True)
        self.marks.setZValue(5)
        self.labels = [pg.TextItem(anchor=(0.5, 1.3)), pg.TextItem(anchor=(0.5, 1.3))]
        self._above = [True, False]
        for item in (*self.pieces, self.marks, *self.labels):
            view.addItem(item, ignoreBounds=True)
        self.step_mark = pg.ScatterPlotItem(pxMode=True, size=13, symbol="d")
        self.step_mark.setZValue(5.5)
        view.addItem(self.step_mark, ignoreBounds=True)
        self._step: int | None = None
        self._highlight = pg.ScatterPlotItem(pxMode=True, size=9)
        self._highlight.setZValue(6)
        view.addItem(self._highlight, ignoreBounds=True)
        self._paint_caption()

    def set_run(self, run: int) -> None:
        """Select one of several runs."""
        self._run = run
        self.clear()

    def show_path(self, path: WeightPath) -> None:
        """Show a path; ignore that of another run."""
        if path.run == self._run:
            self._path = path
            self._mark_stale()

    def set_step(self, run_id: str, step: int | None) -> None:
        """Mark the point of the path nearest to the step that is looked at; None for none.

        Args:
            run_id: not used: the path is that of the run that is shown.
            step: number of completed steps.
        """
        self._step = step
        self._mark_stale(soon=True)

    def clear(self) -> None:
        """Remove the path."""
        self._path = None
        self.follow()

    def set_path_note(self, note: str) -> None:
        """Set the text to show in place of the path while there is none; "" for the default."""
        self._note = note
        self.follow()

    def _draw(self) -> None:
        path = self._path
        points = (
            np.empty((0, 2)) if path is None else path.plane[np.isfinite(path.plane).all(axis=1)]
        )
        if path is None or not len(points):
            self._show_message(
                (self._note or NOTHING_YET) if path is None else "The path has no finite points."
            )
            self.caption.setText("")
            for item in (*self.pieces, self.marks, self.step_mark):
                item.clear()
            return
        self._show_message("")
        first, second = (float(share) for share in path.explained)
        shares = len(path.steps) > MAX_TRIVIAL_POINTS
        self.canvas.x_axis.set_label(f"PC 1 ({first:.0%} of the path)" if shares else "PC 1")
        self.canvas.y_axis.set_label(f"PC 2 ({second:.0%})" if shares else "PC 2")
        self.caption.setText(self._caption_text(path))
        edges = np.linspace(0, len(points) - 1, _SHADES + 1).round().astype(int)
        for number, piece in enumerate(self.pieces):
            part = points[edges[number] : edges[number + 1] + 1]
            piece.setPen(pg.mkPen(self._shade(number / (_SHADES - 1)), width=2 * self.colors.line))
            piece.setData(part[:, 0], part[:, 1])
        colors = self.colors
        self.marks.setData(
            pos=points[[0, -1]],
            size=[9 * colors.scale, 11 * colors.scale],
            symbol=["o", "o"],
            brush=[QColor(colors.background), QColor(self._shade(1.0))],
            pen=[
                pg.mkPen(self._shade(0.0), width=2 * colors.line),
                pg.mkPen(colors.background, width=colors.line),
            ],
        )
        first, last = (int(step) for step in path.steps[[0, -1]])
        # That of a run that was resumed or forked begins where it went on.
        names = ("start" if first == 0 else f"step {first:,}", f"step {last:,}")
        for label, text, point in zip(self.labels, names, points[[0, -1]], strict=True):
            label.setFont(scaled_font(colors))
            label.setText(text, color=mixed(colors.foreground, colors.background, 0.15))
            label.setPos(float(point[0]), float(point[1]))
        self._draw_cursor(path)
        if self.following:
            self._fit(points)
        self._place_labels(points)

    def _draw_cursor(self, path: WeightPath) -> None:
        finite = np.isfinite(path.plane).all(axis=1)
        if self._step is None or not finite.any():
            self.step_mark.clear()
            return
        away = np.where(finite, np.abs(path.steps - self._step), np.inf)
        self.step_mark.setData(
            pos=path.plane[[int(np.argmin(away))]],
            brush=QColor(self.colors.background),
            pen=pg.mkPen(self.colors.foreground, width=2 * self.colors.line),
        )

    def _place_labels(self, points: np.ndarray) -> None:
        """Put each label above or below its end, where the path does not lie.

        Where the labels would cover each other, one is above and one below.
        """
        ends = points[[0, -1]]
        extent = float(np.ptp(points, axis=0).max()) or 1.0
        self._above = [
            _lies_below(points, end, extent, above)
            for end, above in zip(ends, self._above, strict=True)
        ]
        left, right = points[:, 0].min(), points[:, 0].max()
        # Shift labels towards the middle, so that none is cut off at an edge.
        shares = (
            np.clip((ends[:, 0] - left) / (right - left), 0.1, 0.9) if right > left else (0.5,) * 2
        )
        boxes = [self._box(number, ends[number], shares[number]) for number in (0, 1)]
        if boxes[0].intersects(boxes[1]):
            self._above[0] = bool(ends[0, 1] > ends[1, 1])
            self._above[1] = not self._above[0]
            for number in (0, 1):
                self._box(number, ends[number], shares[number])

    def _box(self, number: int, end: np.ndarray, share: float) -> QRectF:
        """Place a label and return the box of its text in pixels, whatever the place of zero."""
        label = self.labels[number]
        anchor = float(share), 1.35 if self._above[number] else -0.35
        label.setAnchor(anchor)
        size = label.boundingRect().size()
        wide, high = self.canvas.view.viewPixelSize()
        x, y = end[0] / wide - anchor[0] * size.width(), -end[1] / high - anchor[1] * size.height()
        margin = label.textItem.document().documentMargin()
        box = QRectF(x, y, size.width(), size.height())
        return box.adjusted(margin, margin, -margin, -margin)

    def _fit(self, points: np.ndarray) -> None:
        low, high = points.min(axis=0), points.max(axis=0)
        span = float(max(*(high - low), np.abs(points).max() * 1e-9, 1e-12))
        room = 0.12 * span
        self.canvas.view.setRange(
            xRange=(low[0] - room, high[0] + room),
            yRange=(low[1] - room, high[1] + room),
            padding=0.0,
            disableAutoRange=True,
        )

    def _caption_text(self, path: WeightPath) -> str:
        total = float(path.explained.sum())
        length = float(np.hypot(*(path.plane.max(axis=0) - path.plane.min(axis=0))))
        off = float(path.off_plane[-1])
        if len(path.steps) <= MAX_TRIVIAL_POINTS:
            return f"{len(path.steps)} points, which lie in a plane in any case"
        text = f"{total:.0%} of the path's variance"
        if length > 0.0 and math.isfinite(off):
            text += (
                f" · distance from the plane {readable(off, 3)}, "
                f"extent in the plane {readable(length, 3)}"
            )
        return text

    def _shade(self, share: float) -> str:
        """Return the color of a point: early ones are faint, late ones strong."""
        colors = self.colors
        return mixed(mixed(colors.curve(0), colors.background, 0.65), colors.curve(1), share)

    def _update_readout(self) -> None:
        path = self._path
        if self._mouse is None or path is None or not self.canvas.isVisible():
            self._hide_readout()
            return
        at = self.canvas.view.mapSceneToView(self._mouse)
        pixel_x, pixel_y = self.canvas.view.viewPixelSize()
        distances = np.hypot(
            (path.plane[:, 0] - at.x()) / pixel_x, (path.plane[:, 1] - at.y()) / pixel_y
        )
        nearest = int(np.argmin(np.where(np.isfinite(distances), distances, np.inf)))
        if not distances[nearest] <= _READOUT_REACH:
            self._hide_readout()
            return
        self._highlight.setData(
            pos=path.plane[[nearest]],
            brush=pg.mkBrush(None),
            pen=pg.mkPen(self.colors.foreground, width=1.5 * self.colors.line),
        )
        self._highlight.setVisible(True)
        self._show_readout(
            f"Step {int(path.steps[nearest]):,}<br>"
            f"distance from the plane {readable(float(path.off_plane[nearest]), 3)}"
        )

    def _hide_readout(self) -> None:
        super()._hide_readout()
        self._highlight.setVisible(False)

    def _paint_colors(self) -> None:
        super()._paint_colors()
        if hasattr(self, "caption"):
            self._paint_caption()

    def _paint_caption(self) -> None:
        self.caption.setStyleSheet(
            "background: transparent;"
            f" color: {mixed(self.colors.foreground, self.colors.background, 0.2)};"
        )


def _lies_below(points: np.ndarray, end: np.ndarray, extent: float, before: bool) -> bool:
    """Return whether a path ``[n, 2]`` near one of its ends lies below that end.

    Args:
        points: of the path. end: which point. extent: of the path. before: the answer of the path so
            far, which stands where there is no clear one: a label must not jump back and forth.
    """
    away = points - end
    lies = float(away[(np.abs(away) < _NEAR * extent).all(axis=1), 1].mean())
    return before if abs(lies) < _CLEAR * extent else lies < 0.0
