"""The data preview: a drawing of a few examples, and their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from optlab.core.printable import printable
from optlab.gui import theme
from optlab.gui.plain_text import PlainLabel
from optlab.tasks.preview import DatasetPreview

_HEIGHT = 132
_LABEL_HEIGHT = 14
_LINES = 2


class DataPreview(QWidget):
    """Draws images as images, two inputs as points, and more inputs as principal components."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture = _Picture()
        self.message = PlainLabel("")
        self.message.setWordWrap(True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.message.setProperty("role", "muted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.picture)
        layout.addWidget(self.message)

    def show_loading(self) -> None:
        """Show that data are being loaded, and remove the drawing of the data before."""
        self.picture.set_preview(None)
        self._say("Loading the data…", problem=False)

    def show_preview(self, preview: DatasetPreview) -> None:
        """Draw a preview."""
        self.picture.set_preview(preview)
        self._say(describe(preview), problem=False)

    def show_problem(self, sentence: str) -> None:
        """Show why the data cannot be loaded."""
        self.picture.set_preview(None)
        self._say(sentence, problem=True)

    def _say(self, sentence: str, *, problem: bool) -> None:
        self.message.setText(sentence)
        self.message.setProperty("role", "problem" if problem else "muted")
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)
        # The room of most descriptions, so that the form does not move when the data are there.
        self.message.setMinimumHeight(_LINES * self.message.fontMetrics().height())


def describe(preview: DatasetPreview) -> str:
    """Return the counts of a data set in one line."""
    counts = preview.counts
    parts = " · ".join(f"{count:,} {name}" for name, count in counts.items())
    target = f"{preview.outputs} classes" if preview.task == "classes" else "a real-valued target"
    inputs = int(np.prod(preview.inputs))
    plane = (
        f" Drawn: first two principal components, {sum(preview.explained):.0%} of the variance."
        if preview.sample == "components"
        else ""
    )
    return f"{sum(counts.values()):,} examples: {parts} · {inputs} inputs · {target}.{plane}"


class _Picture(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._preview: DatasetPreview | None = None
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Examples of the data")

    def sizeHint(self) -> QSize:  # Qt's name
        return QSize(300, _HEIGHT)

    def set_preview(self, preview: DatasetPreview | None) -> None:
        self._preview = preview
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        painter = QPainter(self)
        colors = theme.current()
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QColor(colors.border))
        painter.setBrush(QColor(colors.window))
        painter.drawRoundedRect(frame, 4, 4)
        if self._preview is not None and len(self._preview.x):
            if self._preview.sample == "images":
                self._paint_images(painter, self._preview)
            else:
                self._paint_points(painter, self._preview)
        painter.end()

    def _paint_images(self, painter: QPainter, preview: DatasetPreview) -> None:
        side = (_HEIGHT - 16) // 2 - _LABEL_HEIGHT
        columns = max(1, (self.width() - 8) // (side + 6))
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        for number in range(min(len(preview.x), 2 * columns)):
            row, column = divmod(number, columns)
            left, top = 6 + column * (side + 6), 4 + row * (side + _LABEL_HEIGHT + 4)
            painter.drawImage(QRectF(left, top, side, side), _gray(preview.x[number]))
            painter.setPen(QColor(theme.current().muted))
            name = (
                printable(preview.class_names[int(preview.y[number])])
                if preview.class_names
                else ""
            )
            painter.drawText(
                QRectF(left, top + side, side, _LABEL_HEIGHT), Qt.AlignmentFlag.AlignCenter, name
            )

    def _paint_points(self, painter: QPainter, preview: DatasetPreview) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x = preview.x
        low, high = x.min(axis=0), x.max(axis=0)
        extent = np.maximum(high - low, 1e-12)
        # One scale for both axes, so that distances can be compared.
        room = np.array([self.width() - 20.0, _HEIGHT - 20.0])
        factor = float((room / extent).min())
        positions = (x - (low + high) / 2.0) * np.array([factor, -factor]) + np.array(
            [self.width() / 2.0, _HEIGHT / 2.0]
        )
        painter.setPen(Qt.PenStyle.NoPen)
        for position, color in zip(positions, _colors(preview), strict=True):
            painter.setBrush(color)
            painter.drawEllipse(QPointF(float(position[0]), float(position[1])), 2.0, 2.0)


def _gray(pixels: NDArray[np.float64]) -> QImage:
    """Return an image of ``[height, width]`` values.

    High values are dark in the light theme, and light in the dark one.
    """
    low, high = float(pixels.min()), float(pixels.max())
    light = np.round(230.0 * (pixels - low) / max(high - low, 1e-12)).astype(np.uint8) + 25
    data = np.ascontiguousarray(
        light if theme.current().dark else 255 + 25 - light.astype(np.int64)
    ).astype(np.uint8)
    return QImage(
        data.tobytes(), data.shape[1], data.shape[0], data.shape[1], QImage.Format.Format_Grayscale8
    ).copy()


def _colors(preview: DatasetPreview) -> list[QColor]:
    plots = theme.current().plots
    if preview.task == "classes":
        return [QColor(plots.curve(int(label))) for label in preview.y]
    target = np.asarray(preview.y, dtype=np.float64).reshape(len(preview.y), -1)[:, 0]
    share = (target - target.min()) / max(float(np.ptp(target)), 1e-12)
    first, last = QColor(plots.curve(0)), QColor(plots.curve(1))
    ends = [(color.redF(), color.greenF(), color.blueF()) for color in (first, last)]
    return [
        QColor.fromRgbF(*(a + (b - a) * float(s) for a, b in zip(*ends, strict=True)))
        for s in share
    ]
