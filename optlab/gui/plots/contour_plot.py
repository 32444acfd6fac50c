"""Contours of a relief from above, with tracks, arrows and critical points.

The axes have different scales: with equal ones, a canyon of condition number 100 would be a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import mixed
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.raster_item import RasterItem
from optlab.gui.plots.relief import Floats, Mark, Relief, Track, lookup
from optlab.gui.plots.ticks import readable

_LEVELS = 18
_SYMBOLS = {"minimum": "o", "maximum": "t1", "saddle": "x", "degenerate": "s"}
_ARROW = 0.12
"""Longest arrow, as a share of the width of the view: arrows show directions and ratios of lengths,
not distances.
"""


class ContourPlot(PlotFrame):
    """A relief as a color map with contour lines.

    Signals: ``pointPicked(float, float)``: this point of the plane was clicked.
    """

    pointPicked = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Contours")
        self.follow_button.setText("Reset view")
        self.follow_button.setToolTip("Show the entire surface (F or double-click)")
        self.follow_action.setText("Reset view")
        self._relief: Relief | None = None
        self._picture: np.ndarray | None = None
        self._tracks: tuple[Track, ...] = ()
        self._marks: tuple[Mark, ...] = ()
        self._describe: Callable[[float, float], str] | None = None
        self._relief_stale = True
        view = self.canvas.view
        self.image = RasterItem(smooth=True)
        self.lines = pg.PlotCurveItem(connect="finite", antialias=True)
        self.paths: list[pg.PlotCurveItem] = []
        self.heads = pg.ScatterPlotItem(pxMode=True)
        self.marks = pg.ScatterPlotItem(pxMode=True)
        self.eigenvectors = pg.PlotCurveItem(connect="pairs", antialias=True)
        self.arrows = pg.PlotCurveItem(connect="pairs", antialias=True)
        self.gradients = pg.PlotCurveItem(connect="pairs", antialias=True)
        layers = (
            self.image,
            self.lines,
            self.eigenvectors,
            self.marks,
            self.gradients,
            self.arrows,
            self.heads,
        )
        for depth, item in enumerate(layers):
            item.setZValue(depth if depth < 4 else depth + 10)
            view.addItem(item, ignoreBounds=True)
        self.canvas.scene().sigMouseClicked.connect(self._clicked)

    # --- contents -------------------------------------------------------------

    def set_relief(self, relief: Relief | None) -> None:
        """Show another relief without tracks and marks."""
        self._relief, self._picture = relief, None
        self._tracks, self._marks = (), ()
        self._relief_stale = True
        self.follow()

    def set_picture(self, picture: np.ndarray | None) -> None:
        """Color the plane by an image ``[ny, nx, 3]`` of bytes, or with None by the heights."""
        self._picture = picture
        self._relief_stale = True
        self._mark_stale(soon=True)

    def set_tracks(self, tracks: Sequence[Track]) -> None:
        """Replace the tracks."""
        self._tracks = tuple(tracks)
        self._mark_stale(soon=True)

    def set_marks(self, marks: Sequence[Mark]) -> None:
        """Replace the critical points."""
        self._marks = tuple(marks)
        self._mark_stale(soon=True)

    def set_description(self, describe: Callable[[float, float], str] | None) -> None:
        """Set a function that returns the readout of a point as rich text; None for coordinates."""
        self._describe = describe

    # --- drawing --------------------------------------------------------------

    def _draw(self) -> None:
        relief = self._relief
        if relief is None or not np.isfinite(relief.z).any():
            self._show_message(
                "No surface yet…"
                if relief is None
                else "The function has no finite value in this domain: choose another one."
            )
            return
        self._show_message("")
        if self._relief_stale:
            self._draw_relief(relief)
            self._relief_stale = False
        if self.following:
            self.canvas.view.setRange(
                xRange=(relief.x[0], relief.x[-1]),
                yRange=(relief.y[0], relief.y[-1]),
                padding=0.0,
                disableAutoRange=True,
            )
        self._draw_tracks()
        self._draw_marks()

    def _draw_relief(self, relief: Relief) -> None:
        scale = relief.scale()
        if self._picture is None:
            share = scale.share(relief.z)
            picture = lookup(self.colors)[np.nan_to_num(share * 255, nan=0.0).astype(int)]
            blank = QColor(self.colors.grid)
            picture[~np.isfinite(share)] = (blank.red(), blank.green(), blank.blue())
        else:
            picture = self._picture
        self.image.smooth = self._picture is None
        self.image.setImage(picture, levels=None)
        # Pixels are centered on grid points.
        dx, dy = (float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (relief.x, relief.y))
        self.image.setRect(
            QRectF(
                relief.x[0] - dx / 2, relief.y[0] - dy / 2, dx * len(relief.x), dy * len(relief.y)
            )
        )
        # Not needed by the main window, which imports the plots of this folder to find its tiles.
        from contourpy import LineType, contour_generator

        generator = contour_generator(
            relief.x, relief.y, np.ma.masked_invalid(relief.z), line_type=LineType.Separate
        )
        gap = np.full((1, 2), np.nan)
        lines = [
            line
            for level in scale.levels(_LEVELS)
            for line in cast(list[Floats], generator.lines(level))
        ]
        parts = [part for line in lines for part in (line, gap)]
        points = np.concatenate(parts) if parts else np.empty((0, 2))
        self.lines.setPen(
            pg.mkPen(
                mixed(self.colors.background, self.colors.foreground, 0.12), width=self.colors.line
            )
        )
        self.lines.setOpacity(0.55)
        self.lines.setData(points[:, 0], points[:, 1])

    def _draw_tracks(self) -> None:
        view = self.canvas.view
        while len(self.paths) < 2 * len(self._tracks):
            item = pg.PlotCurveItem(antialias=True, connect="finite")
            item.setZValue(8)
            view.addItem(item, ignoreBounds=True)
            self.paths.append(item)
        for item in self.paths[2 * len(self._tracks) :]:
            item.clear()
        for number, track in enumerate(self._tracks):
            x, y = track.points[:, 0], track.points[:, 1]
            halo, line = self.paths[2 * number : 2 * number + 2]
            halo.setPen(
                pg.mkPen(
                    mixed(self.colors.background, self.colors.foreground, 0.03),
                    width=4 * self.colors.line,
                )
            )
            line.setPen(pg.mkPen(self.colors.curve(track.color), width=2 * self.colors.line))
            halo.setData(x, y)
            line.setData(x, y)
        ends = [track for track in self._tracks if np.isfinite(track.points[-1]).all()]
        self.heads.setData(
            pos=np.array([track.points[-1] for track in ends]).reshape(-1, 2),
            size=11 * self.colors.scale,
            brush=[QColor(self.colors.curve(track.color)) for track in ends],
            pen=pg.mkPen(self.colors.background, width=1.5 * self.colors.line),
        )
        self._draw_arrows(
            self.arrows,
            [(t.points[-1], t.velocity) for t in ends if t.velocity is not None],
            self.colors.foreground,
        )
        self._draw_arrows(
            self.gradients,
            [(t.points[-1], t.gradient) for t in ends if t.gradient is not None],
            self.colors.curve(1),
        )

    def _draw_arrows(
        self, item: pg.PlotCurveItem, arrows: list[tuple[Floats, Floats]], ink: str
    ) -> None:
        """Draw arrows at points; the longest has a fixed length, heads are two short strokes."""
        kept = [
            (at, along)
            for at, along in arrows
            if np.isfinite(along).all() and np.linalg.norm(along) > 0.0
        ]
        if not kept:
            item.clear()
            return
        (left, right), _ = self.canvas.view.viewRange()
        longest = max(float(np.linalg.norm(along)) for _, along in kept)
        strokes: list[Floats] = []
        for at, along in kept:
            reach = along * (_ARROW * (right - left) / longest)
            tip = at + reach
            strokes += [at, tip]
            for turn in (2.6, -2.6):
                cos, sin = np.cos(turn), np.sin(turn)
                strokes += [
                    tip,
                    tip
                    + 0.25
                    * np.array([cos * reach[0] - sin * reach[1], sin * reach[0] + cos * reach[1]]),
                ]
        points = np.array(strokes)
        item.setPen(pg.mkPen(ink, width=2 * self.colors.line))
        item.setData(points[:, 0], points[:, 1])

    def _draw_marks(self) -> None:
        ink = self.colors.foreground
        self.marks.setData(
            pos=np.array([mark.at for mark in self._marks]).reshape(-1, 2),
            symbol=[_SYMBOLS.get(mark.kind, "s") for mark in self._marks],
            size=12 * self.colors.scale,
            brush=pg.mkBrush(mixed(self.colors.background, ink, 0.05)),
            pen=pg.mkPen(ink, width=1.5 * self.colors.line),
        )
        (left, right), _ = self.canvas.view.viewRange()
        reach = 0.03 * (right - left)
        ends = [
            mark.at + sign * reach * axis
            for mark in self._marks
            for axis in mark.axes
            for sign in (-1.0, 1.0)
        ]
        points = np.array(ends).reshape(-1, 2)
        self.eigenvectors.setPen(pg.mkPen(ink, width=self.colors.line))
        self.eigenvectors.setData(points[:, 0], points[:, 1])

    # --- the mouse ------------------------------------------------------------

    def _clicked(self, event: Any) -> None:
        if self._relief is None or event.button() != Qt.MouseButton.LeftButton or event.double():
            return
        position: QPointF = event.scenePos()
        if self.canvas.view.sceneBoundingRect().contains(position):
            at = self.canvas.view.mapSceneToView(position)
            self.pointPicked.emit(float(at.x()), float(at.y()))

    def _update_readout(self) -> None:
        if self._mouse is None or self._relief is None or not self.canvas.isVisible():
            self._hide_readout()
            return
        at = self.canvas.view.mapSceneToView(self._mouse)
        if self._describe is not None:
            text = self._describe(float(at.x()), float(at.y()))
        else:
            height = float(self._relief.heights_at(np.array([[at.x(), at.y()]]))[0])
            text = f"{readable(at.x(), 3)}, {readable(at.y(), 3)}: {readable(height, 4)}"
        self._show_readout(text) if text else self._hide_readout()

    def _paint_colors(self) -> None:
        super()._paint_colors()
        self._relief_stale = True
