"""A 3-D view of a relief: a shaded surface that can be rotated, with tracks on it.

It is drawn with the painter's algorithm on the CPU: a few thousand facets, sorted from far to near,
take about twenty milliseconds, and no OpenGL is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from optlab.gui.plots.colors import LIGHT, PlotColors, mixed
from optlab.gui.plots.relief import Floats, Relief, Track, lookup

_FACETS = 56
"""Facets along each side."""
_HEIGHT = 0.62
"""Height of the highest point, where the base is one wide."""
_LIGHT = np.array([-0.45, -0.35, 0.82]) / np.linalg.norm([-0.45, -0.35, 0.82])
_LIFT = 0.012
"""Offset of tracks above the surface."""


class ReliefView(QWidget):
    """A surface in three dimensions.

    Drag or press the arrow keys to rotate, turn the wheel to zoom, double-click to reset the view.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Surface in three dimensions")
        self.setToolTip("Drag to rotate, wheel to zoom, double-click to reset the view")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(160, 120)
        self.colors: PlotColors = LIGHT
        self._relief: Relief | None = None
        self._tracks: tuple[Track, ...] = ()
        self._message = ""
        self._dragged: QPointF | None = None
        self.reset()

    def reset(self) -> None:
        """Reset the view."""
        self.turn, self.tilt, self.zoom = math.radians(-58.0), math.radians(36.0), 1.0
        self.update()

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self.colors = colors
        self.update()

    def set_relief(self, relief: Relief | None) -> None:
        """Show another relief, or none."""
        self._relief = relief
        self._tracks = ()
        self.update()

    def set_tracks(self, tracks: Sequence[Track]) -> None:
        """Replace the tracks."""
        self._tracks = tuple(tracks)
        self.update()

    # --- projection -----------------------------------------------------------

    def _project(self, points: Floats) -> tuple[Floats, Floats]:
        """Return widget positions ``[n, 2]`` and depths ``[n]`` of points ``[n, 3]``.

        Points lie in the box [−½, ½]² × [0, 1]; a larger depth is farther away.
        """
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        x = points[:, 0] * cos - points[:, 1] * sin
        y = points[:, 0] * sin + points[:, 1] * cos
        z = (points[:, 2] - 0.5) * _HEIGHT
        up = z * math.cos(self.tilt) + y * math.sin(self.tilt)
        depth = y * math.cos(self.tilt) - z * math.sin(self.tilt)
        near = 3.2 / (3.2 + depth)
        side = min(self.width() / 1.45, self.height() / 1.15) * self.zoom
        return np.stack(
            [self.width() / 2 + x * near * side, self.height() / 2 - up * near * side], axis=1
        ), depth

    def _box(self, relief: Relief, points: Floats, share: Floats) -> Floats:
        """Return points ``[n, 3]`` of the box for points ``[n, 2]`` and height shares ``[n]``."""
        x = (points[:, 0] - relief.x[0]) / (relief.x[-1] - relief.x[0]) - 0.5
        y = (points[:, 1] - relief.y[0]) / (relief.y[-1] - relief.y[0]) - 0.5
        return np.stack([x, y, share], axis=1)

    # --- painting -------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self.colors.background))
        if self._relief is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_facets(painter, self._relief)
        self._paint_tracks(painter, self._relief)
        painter.end()

    def _paint_facets(self, painter: QPainter, relief: Relief) -> None:
        rows = np.unique(np.linspace(0, len(relief.y) - 1, _FACETS + 1).round().astype(int))
        columns = np.unique(np.linspace(0, len(relief.x) - 1, _FACETS + 1).round().astype(int))
        share = relief.scale().share(relief.z[np.ix_(rows, columns)])
        finite = np.isfinite(share)
        flat = np.where(finite, share, 0.0)
        grid = np.stack(np.meshgrid(relief.x[columns], relief.y[rows]), axis=-1).reshape(-1, 2)
        box = self._box(relief, grid, flat.reshape(-1))
        positions, depths = self._project(box)
        shape = flat.shape
        solid = box.reshape(*shape, 3) * np.array([1.0, 1.0, _HEIGHT])
        across, along = solid[:-1, 1:] - solid[:-1, :-1], solid[1:, :-1] - solid[:-1, :-1]
        normal = np.cross(across, along)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        lit = 0.55 + 0.5 * np.clip(normal @ _LIGHT, 0.0, 1.0)
        positions, depths = positions.reshape(*shape, 2), depths.reshape(shape)
        corners = np.stack(
            [positions[:-1, :-1], positions[:-1, 1:], positions[1:, 1:], positions[1:, :-1]], axis=2
        )
        middle = (flat[:-1, :-1] + flat[:-1, 1:] + flat[1:, 1:] + flat[1:, :-1]) / 4
        depth = (depths[:-1, :-1] + depths[1:, 1:]) / 2
        drawable = finite[:-1, :-1] & finite[:-1, 1:] & finite[1:, 1:] & finite[1:, :-1]
        table = lookup(self.colors)
        inks = np.clip(table[(middle * 255).astype(int)] * lit[..., None], 0, 255).astype(int)
        order = np.argsort(-depth, axis=None)
        quads, inks, drawable = (
            corners.reshape(-1, 4, 2)[order].tolist(),
            inks.reshape(-1, 3)[order].tolist(),
            drawable.reshape(-1)[order],
        )
        pen = QPen()
        pen.setWidthF(0.7)
        for quad, (red, green, blue), drawn in zip(quads, inks, drawable, strict=True):
            if drawn:
                ink = QColor(red, green, blue)
                pen.setColor(ink)
                painter.setPen(pen)
                painter.setBrush(ink)
                painter.drawConvexPolygon(QPolygonF([QPointF(x, y) for x, y in quad]))

    def _paint_tracks(self, painter: QPainter, relief: Relief) -> None:
        scale = relief.scale()
        for track in self._tracks:
            heights = relief.heights_at(track.points)
            inside = np.isfinite(heights)
            if not inside.any():
                continue
            box = self._box(
                relief, track.points, scale.share(np.where(inside, heights, 0.0)) + _LIFT
            )
            positions, _ = self._project(box)
            ink = self.colors.curve(track.color)
            for width, color in (
                (4.0, mixed(self.colors.background, self.colors.foreground, 0.05)),
                (2.0, ink),
            ):
                painter.setPen(
                    QPen(
                        QColor(color),
                        width * self.colors.scale,
                        Qt.PenStyle.SolidLine,
                        Qt.PenCapStyle.RoundCap,
                        Qt.PenJoinStyle.RoundJoin,
                    )
                )
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawPath(_line(positions, inside))
            if inside[-1]:
                painter.setPen(QPen(QColor(self.colors.background), 1.5 * self.colors.scale))
                painter.setBrush(QColor(ink))
                radius = 5.0 * self.colors.scale
                painter.drawEllipse(QPointF(*positions[-1]), radius, radius)

    # --- rotation -------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # Qt's name
        self._dragged = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # Qt's name
        if self._dragged is not None:
            moved = event.position() - self._dragged
            self._dragged = event.position()
            self.turn_by(moved.x() * 0.008, moved.y() * 0.006)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # Qt's name
        self._dragged = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # Qt's name
        self.reset()

    def wheelEvent(self, event: QWheelEvent) -> None:  # Qt's name
        self.zoom = min(max(self.zoom * 1.0015 ** event.angleDelta().y(), 0.4), 6.0)
        self.update()
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # Qt's name
        step = {
            Qt.Key.Key_Left: (-0.1, 0.0),
            Qt.Key.Key_Right: (0.1, 0.0),
            Qt.Key.Key_Up: (0.0, 0.08),
            Qt.Key.Key_Down: (0.0, -0.08),
        }
        if event.key() in step:
            self.turn_by(*step[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)

    def turn_by(self, turn: float, tilt: float) -> None:
        """Rotate by ``turn`` about the vertical, and tilt by ``tilt``, both in radians."""
        self.turn += turn
        self.tilt = min(max(self.tilt + tilt, math.radians(4.0)), math.radians(88.0))
        self.update()


def _line(positions: Floats, inside: NDArray[np.bool_]) -> QPainterPath:
    path = QPainterPath()
    down = False
    for (x, y), drawn in zip(positions.tolist(), inside, strict=True):
        if drawn and down:
            path.lineTo(x, y)
        elif drawn:
            path.moveTo(x, y)
        down = bool(drawn)
    return path
