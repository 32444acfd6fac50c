"""Typeset formulas: lines of LaTeX as vector graphics in the color of the text."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QEvent, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QHideEvent, QImage, QPainter, QPaintEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QSizePolicy, QWidget

SIZE = 19
"""Font size in the units of the drawing."""
_GAP = 6
_EXPECTED_HEIGHT = 30
"""Height of a line until it has been typeset."""
_DELAY_MILLISECONDS = 50
"""Time between the first paint and typesetting."""


@dataclass(frozen=True)
class Drawing:
    """A typeset line.

    Attributes:
        svg: the drawing, empty if the line cannot be typeset.
        problem: why it cannot.
    """

    svg: bytes
    problem: str = ""


@functools.lru_cache(maxsize=512)
def typeset(line: str, color: str) -> Drawing:
    """Return a line of LaTeX as SVG in a color."""
    # Importing these takes a tenth of a second, which would delay the main window.
    from ziafont.config import config
    from ziamath.zmath import Latex

    # Qt draws SVG 1.2 Tiny: outlines in place, no symbols that are used elsewhere.
    config.svg2 = False
    try:
        return Drawing(Latex(line, size=SIZE, color=color).svg().encode())
    except Exception as error:  # noqa: BLE001 - the parser documents no exceptions; the source of the line is shown instead
        return Drawing(b"", f"{type(error).__name__}: {error}")


def image(line: str, color: str, ratio: float) -> QImage | None:
    """Return the image of a line at ``ratio`` pixels per point; None if it cannot be typeset."""
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
    """Lines of formulas below each other, scaled down to the width of the panel.

    A line that cannot be typeset is drawn as source text, with the reason in the tooltip.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: tuple[str, ...] = ()
        self._renderers: list[QSvgRenderer | str] = []
        self._painted = False
        # A child, so that it is deleted with the widget.
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_DELAY_MILLISECONDS)
        self._delay.timeout.connect(self._typeset)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def set_lines(self, lines: tuple[str, ...]) -> None:
        """Show lines of LaTeX."""
        self._lines = lines
        self.setAccessibleName("Formula: " + "; ".join(lines))
        self.setVisible(bool(lines))
        if self._painted:
            self._typeset()
        else:
            self.setFixedHeight(len(lines) * _EXPECTED_HEIGHT)

    @property
    def typeset_lines(self) -> int:
        """Number of lines that are drawn as formulas, not as source text."""
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
            # The first formula loads fonts and a parser, so the window is shown before.
            self._painted = True
            self._delay.start()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.isEnabled():
            painter.setOpacity(0.6)
        y = 0.0
        for item in self._renderers:
            size = self._size(item)
            share = min(1.0, self.width() / max(1, size.width()))
            area = QRectF(0.0, y, size.width() * share, size.height() * share)
            if isinstance(item, QSvgRenderer):
                item.render(painter, area)
            else:
                painter.drawText(area, item)
            y += size.height() + _GAP
        painter.end()

    def hideEvent(self, event: QHideEvent) -> None:  # Qt's name
        super().hideEvent(event)
        if self._delay.isActive():
            # Hidden before it was typeset: start again at the next paint.
            self._delay.stop()
            self._painted = False

    def changeEvent(self, event: QEvent) -> None:  # Qt's name
        if event.type() == QEvent.Type.PaletteChange and self._lines and self._painted:
            self._typeset()
        super().changeEvent(event)
