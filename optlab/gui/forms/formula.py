"""Typeset formulas: LaTeX lines as scalable drawings in the color of the text."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QEvent, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QHideEvent, QImage, QPainter, QPaintEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QSizePolicy, QWidget

SIZE = 19
"""Size of the type in the drawing's own units."""
_GAP = 6
_USUAL_HEIGHT = 30
"""Height that a line is given until it has been typeset."""
_LATER = 50
"""Milliseconds between the first paint and typesetting."""


@dataclass(frozen=True)
class Drawing:
    """One line: the drawing, or why there is none."""

    svg: bytes
    problem: str = ""


@functools.lru_cache(maxsize=512)
def typeset(line: str, color: str) -> Drawing:
    """A LaTeX line as SVG in a color."""
    # These take a tenth of a second to import, which the first window shall not wait for.
    from ziafont.config import config
    from ziamath.zmath import Latex

    # Qt draws SVG 1.2 Tiny: outlines in place, no symbols that are used elsewhere.
    config.svg2 = False
    try:
        return Drawing(Latex(line, size=SIZE, color=color).svg().encode())
    except Exception as error:  # noqa: BLE001 - a third-party parser that raises whatever it meets; the line is shown as it is written
        return Drawing(b"", f"{type(error).__name__}: {error}")


def image(line: str, color: str, ratio: float) -> QImage | None:
    """The line as a picture for rich text, at ``ratio`` pixels a point; None where it cannot be
    typeset.
    """
    drawing = typeset(line, color)
    if not drawing.svg:
        return None
    renderer = QSvgRenderer(QByteArray(drawing.svg))
    size = renderer.defaultSize()
    picture = QImage(
        round(size.width() * ratio),
        round(size.height() * ratio),
        QImage.Format.Format_ARGB32_Premultiplied,
    )
    picture.fill(Qt.GlobalColor.transparent)
    picture.setDevicePixelRatio(ratio)
    painter = QPainter(picture)
    renderer.render(painter, QRectF(0, 0, size.width(), size.height()))
    painter.end()
    return picture


class FormulaView(QWidget):
    """Lines of a formula beneath each other, scaled down where the panel is narrow.

    A line that cannot be typeset is drawn as it is written, with the reason in the tool tip.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: tuple[str, ...] = ()
        self._renderers: list[QSvgRenderer | str] = []
        self._painted = False
        # A child, so that it goes with the widget.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_LATER)
        self._later.timeout.connect(self._typeset)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def set_lines(self, lines: tuple[str, ...]) -> None:
        """Show these LaTeX lines."""
        self._lines = lines
        self.setAccessibleName("Formula: " + "; ".join(lines))
        self.setVisible(bool(lines))
        if self._painted:
            self._typeset()
        else:
            self.setFixedHeight(len(lines) * _USUAL_HEIGHT)

    @property
    def typeset_lines(self) -> int:
        """Number of lines that are drawn as formulas."""
        return sum(isinstance(item, QSvgRenderer) for item in self._renderers)

    def _typeset(self) -> None:
        color = self.palette().color(self.foregroundRole()).name()
        self._renderers = []
        problems: list[str] = []
        for line in self._lines:
            drawing = typeset(line, color)
            if drawing.svg:
                self._renderers.append(QSvgRenderer(QByteArray(drawing.svg)))
            else:
                self._renderers.append(line)
                problems.append(drawing.problem)
        self.setToolTip("\n".join(problems))
        self.setFixedHeight(self.sizeHint().height())
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # Qt's name
        sizes = [self._size(item) for item in self._renderers]
        return QSize(
            max((size.width() for size in sizes), default=0),
            sum(size.height() + _GAP for size in sizes),
        )

    def minimumSizeHint(self) -> QSize:  # Qt's name
        return QSize(0, self.sizeHint().height())

    def _size(self, item: QSvgRenderer | str) -> QSize:
        if isinstance(item, QSvgRenderer):
            return item.defaultSize()
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(item), metrics.height())

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        if not self._painted:
            # The first formula loads fonts and a parser: the window is shown before, and the
            # formulas a moment later.
            self._painted = True
            self._later.start()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.isEnabled():
            painter.setOpacity(0.6)
        y = 0.0
        for item in self._renderers:
            size = self._size(item)
            share = min(1.0, self.width() / max(1, size.width()))
            place = QRectF(0.0, y, size.width() * share, size.height() * share)
            if isinstance(item, QSvgRenderer):
                item.render(painter, place)
            else:
                painter.drawText(place, item)
            y += size.height() + _GAP
        painter.end()

    def hideEvent(self, event: QHideEvent) -> None:  # Qt's name
        super().hideEvent(event)
        if self._later.isActive():
            # Hidden before it came to it: begin anew when it is painted again.
            self._later.stop()
            self._painted = False

    def changeEvent(self, event: QEvent) -> None:  # Qt's name
        if event.type() == QEvent.Type.PaletteChange and self._lines and self._painted:
            self._typeset()
        super().changeEvent(event)
