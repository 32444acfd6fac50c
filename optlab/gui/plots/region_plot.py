"""The decision region as a tile: predictions over the plane of two inputs, with the examples.

A part of the plane that is zoomed into is computed anew, in more detail; until it is there, the
picture before it stays.
"""

from __future__ import annotations

from html import escape
from typing import Any, cast

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QTimer
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from optlab.core.printable import printable
from optlab.gui.plots.colors import PlotColors, mixed
from optlab.gui.plots.model_tile import ModelTile
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.raster_item import RasterItem
from optlab.gui.plots.relief import Floats, lookup
from optlab.gui.plots.ticks import readable
from optlab.tasks.decision_region import Area, DecisionRegion, PlanePoints, RegionView

_PALE = 0.45
"""Share of the background in the color of a region, so that examples stand out."""
_MARGIN = 1.0
"""Lead of an output over the next one at which margin lines are drawn."""
_LEVELS = 10
_REFINED_POINTS = 161
"""Points of the grid in each direction where the user has zoomed."""
_REST_MILLISECONDS = 250
"""Time for which the view has to rest before what it shows is computed."""
_READ = 3
"""Classes whose probabilities the readout names."""


def picture(region: DecisionRegion, colors: PlotColors) -> NDArray[np.uint8]:
    """Return the colors ``[G, G, 3]`` of the plane: those of the classes, mixed by probability.

    Where outputs predict no probabilities, it is the color of the predicted class; for regression a
    scale from the lowest to the highest value.
    """
    if region.values is not None:
        low, high = float(region.values.min()), float(region.values.max())
        share = (region.values - low) / max(high - low, 1e-300)
        scaled: NDArray[np.uint8] = lookup(colors)[np.clip(share * 255, 0, 255).astype(int)]
        return scaled
    count = len(region.classes)
    table = np.array([_rgb(mixed(colors.curve(k), colors.background, _PALE)) for k in range(count)])
    weights = (
        np.eye(count)[region.predicted] if region.probabilities is None else region.probabilities
    )
    mixture: NDArray[np.uint8] = (
        (np.nan_to_num(weights) @ table).round().clip(0, 255).astype(np.uint8)
    )
    return mixture


def contours(x: Floats, y: Floats, z: NDArray[Any], levels: list[float]) -> Floats:
    """Return the lines of a field ``[ny, nx]`` at levels, points ``[n, 2]`` with NaN between lines."""
    # Not needed by the main window before something is drawn.
    from contourpy import LineType, contour_generator

    generator = contour_generator(x, y, np.ma.masked_invalid(z), line_type=LineType.Separate)
    gap = np.full((1, 2), np.nan)
    lines = [line for level in levels for line in cast(list[Floats], generator.lines(level))]
    parts = [part for line in lines for part in (line, gap)]
    return np.concatenate(parts) if parts else np.empty((0, 2))


class RegionCanvas(PlotFrame):
    """Draws a decision region."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(steps=False, parent=parent)
        self.setAccessibleName("Decision region")
        self.follow_button.setText("Reset view")
        self.follow_button.setToolTip("Show the whole plane (F or double-click)")
        self.follow_action.setText("Reset view")
        self.region: DecisionRegion | None = None
        self._plane: tuple[Floats, Floats] | None = None
        self.image = RasterItem(smooth=True)
        self.margin_lines = pg.PlotCurveItem(connect="finite", antialias=True)
        self.boundary = pg.PlotCurveItem(connect="finite", antialias=True)
        self.points = pg.ScatterPlotItem(pxMode=True)
        self.rings = pg.ScatterPlotItem(pxMode=True)
        for depth, item in enumerate(
            (self.image, self.margin_lines, self.boundary, self.points, self.rings)
        ):
            item.setZValue(depth)
            self.canvas.view.addItem(item, ignoreBounds=True)

    def show_region(self, region: DecisionRegion) -> None:
        """Draw a region; the view stays where it is, if the user has moved it."""
        self.region = region
        if region.whole:
            self._plane = region.first, region.second
        self._mark_stale()
        self.refresh()

    def _draw(self) -> None:
        region = self.region
        if region is None:
            self._show_message("No region yet…")
            return
        self._show_message("")
        x, y = region.first, region.second
        self.canvas.x_axis.set_label(printable(region.names[0]))
        self.canvas.y_axis.set_label(printable(region.names[1]))
        dx, dy = ((axis[-1] - axis[0]) / (len(axis) - 1) for axis in (x, y))
        # Between predicted classes without probabilities there is no color.
        self.image.smooth = region.probabilities is not None or region.values is not None
        self.image.setImage(picture(region, self.colors), levels=None)
        self.image.setRect(QRectF(x[0] - dx / 2, y[0] - dy / 2, dx * len(x), dy * len(y)))
        ink = self.colors.foreground
        self.boundary.setPen(pg.mkPen(ink, width=1.6 * self.colors.line))
        self.margin_lines.setPen(pg.mkPen(ink, width=self.colors.line, dash=[4, 3]))
        if region.values is not None:
            low, high = float(region.values.min()), float(region.values.max())
            levels = np.linspace(low, high, _LEVELS + 2)[1:-1].tolist()
            lines = contours(x, y, region.values, levels) if high > low else np.empty((0, 2))
            self.boundary.clear()
            self.margin_lines.setData(lines[:, 0], lines[:, 1])
        else:
            for item, level in ((self.boundary, 0.0), (self.margin_lines, _MARGIN)):
                lines = np.concatenate([contours(x, y, field, [level]) for field in region.margins])
                item.setData(lines[:, 0], lines[:, 1])
        self._draw_points(region)
        if self.following:
            # After a zoom, before the whole plane is there again, too.
            x, y = self._plane or (x, y)
            self.canvas.view.setRange(
                xRange=(x[0], x[-1]), yRange=(y[0], y[-1]), padding=0.0, disableAutoRange=True
            )

    def area(self) -> Area | None:
        """Return the part of the plane that the user has zoomed or panned to; None for all of it."""
        if self.following:
            return None
        (left, right), (bottom, top) = self.canvas.view.viewRange()
        return left, right, bottom, top

    def _draw_points(self, region: DecisionRegion) -> None:
        everyone = [(part, self._brushes(region, part)) for part in region.points]
        self.points.setData(
            pos=np.concatenate([part.x for part, _ in everyone]),
            brush=[brush for _, brushes in everyone for brush in brushes],
            pen=pg.mkPen(self.colors.background, width=0.8 * self.colors.line),
            size=[
                (7 if part.part == "training" else 9) * self.colors.scale
                for part, _ in everyone
                for _ in part.x
            ],
            symbol=[
                "o" if part.part == "training" else "t1" for part, _ in everyone for _ in part.x
            ],
        )
        wrong = [part.x[part.wrong] for part, _ in everyone]
        self.rings.setData(
            pos=np.concatenate(wrong),
            brush=pg.mkBrush(None),
            pen=pg.mkPen(self.colors.foreground, width=1.4 * self.colors.line),
            size=13 * self.colors.scale,
        )

    def _brushes(self, region: DecisionRegion, part: PlanePoints) -> list[QColor]:
        if region.values is None:
            return [QColor(self.colors.curve(int(label))) for label in part.y]
        low, high = float(region.values.min()), float(region.values.max())
        share = np.clip((part.y - low) / max(high - low, 1e-300), 0.0, 1.0)
        return [QColor(*map(int, row)) for row in lookup(self.colors)[(share * 255).astype(int)]]

    def _update_readout(self) -> None:
        region = self.region
        if self._mouse is None or region is None or not self.canvas.isVisible():
            self._hide_readout()
            return
        at = self.canvas.view.mapSceneToView(self._mouse)
        column = int(np.abs(region.first - at.x()).argmin())
        row = int(np.abs(region.second - at.y()).argmin())
        lines = [f"{readable(at.x(), 3)}, {readable(at.y(), 3)}"]
        if region.values is not None:
            lines.append(f"predicted {readable(float(region.values[row, column]), 4)}")
        elif region.probabilities is None:
            lines.append(escape(region.classes[int(region.predicted[row, column])]))
        else:
            chances = region.probabilities[row, column]
            lines += [
                f"{escape(printable(region.classes[label]))}: {chances[label]:.1%}"
                for label in np.argsort(-chances, kind="stable")[:_READ]
            ]
        self._show_readout("<br>".join(lines))


class RegionPlot(ModelTile):
    """What the model predicts over the plane of two inputs."""

    tile_title = "Decision region"
    tile_row, tile_position = 10, 0
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Decision region")
        self.canvas = RegionCanvas()
        self._area: Area | None = None
        self._rest = QTimer(self, singleShot=True, interval=_REST_MILLISECONDS)
        self._rest.timeout.connect(self._look_closer)
        self.canvas.canvas.zoomed.connect(self._rest.start)
        self.canvas.followingChanged.connect(self._wait_for_rest)
        self.set_body(self.canvas)

    @property
    def view(self) -> RegionView:
        """What is asked for: the plane, or in more detail the part of it that is zoomed into."""
        if self._area is None:
            return RegionView()
        return RegionView(_REFINED_POINTS, self._area)

    def _wait_for_rest(self) -> None:
        self._rest.start()

    def _look_closer(self) -> None:
        area = self.canvas.area()
        if area != self._area:
            self._area = area
            self.viewChanged.emit()

    def draw(self, result: DecisionRegion) -> None:
        """Draw the region."""
        self.canvas.show_region(result)

    def describe(self, result: DecisionRegion) -> str:
        """Return what the marks mean, and how many examples are wrong."""
        parts = []
        for points, mark in zip(result.points, "●▲", strict=False):
            text = f"{mark} {points.part}"
            if result.classes:
                text += f" {int(points.wrong.sum()):,} of {len(points.x):,} wrong"
            parts.append(text)
        if result.classes:
            parts.append(f"dashed: margin {_MARGIN:g}")
        return " · ".join(parts)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        super().set_colors(colors)
        if hasattr(self, "canvas"):
            self.canvas.set_colors(colors)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
