"""A tile as a figure: a picture, or curves and text as lines at the size that paper asks for.

The part of the tile that draws is laid out at the size of the figure, painted once and put back,
before the event loop runs again: nothing of it is seen. Curves are drawn with the detail that the
resolution of paper can show, not with that of the screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF, QPoint, QPointF, QRectF, QSize, QSizeF
from PySide6.QtGui import QColor, QImage, QPageSize, QPainter, QPdfWriter, QRegion
from PySide6.QtWidgets import QGraphicsItem, QWidget

from optlab.core.errors import InvalidInput
from optlab.core.files import write_atomically
from optlab.gui import theme
from optlab.gui.figures.outlined_svg import outlined
from optlab.gui.plots.colors import LIGHT, PlotColors
from optlab.gui.plots.legend import LegendEntry
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.raster_item import RasterItem
from optlab.gui.plots.subject import subject_of

FORMATS = ("pdf", "svg", "png")
MM_PER_INCH = 25.4
_BASE_DPI = 96.0
"""Pixels an inch of the layout: a text of 12 pixels has 9 points on paper."""
_DETAIL = 1200.0 / _BASE_DPI
"""Points of a curve a pixel of the layout of a PDF or SVG file: 1200 an inch, as a printer can show."""
_ALL = QWidget.RenderFlag.DrawChildren


@dataclass(frozen=True)
class FigureSize:
    """Size of a figure.

    Attributes:
        width, height: in millimeters. dpi: pixels per inch of a PNG file, and of color maps in a PDF
            or SVG file. scale: of text and lines
            in relation to those on paper; more for a slide.
    """

    width: float
    height: float
    dpi: int = 300
    scale: float = 1.0

    def check(self) -> None:
        """Raise an error unless the size can be drawn.

        Raises:
            InvalidInput: a number is too small or too large.
        """
        for name, value, low, high in (
            ("width", self.width, 20.0, 2000.0),
            ("height", self.height, 20.0, 2000.0),
            ("resolution", float(self.dpi), 50.0, 2400.0),
        ):
            if not low <= value <= high:
                unit = "pixels per inch" if name == "resolution" else "mm"
                raise InvalidInput(
                    f"The {name} of the figure is {value:g} {unit}, but it must be between "
                    f"{low:g} and {high:g}."
                )


SIZES: dict[str, FigureSize] = {
    "One column, 85 mm": FigureSize(85.0, 60.0),
    "Two columns, 175 mm": FigureSize(175.0, 90.0),
    "Slide, 16 : 9": FigureSize(254.0, 142.875, 150, 1.8),
}
"""Sizes by name."""


def drawn_part(content: QWidget) -> QWidget:
    """Return the part of a tile that draws: its plot that is visible, or all of it."""
    if isinstance(content, PlotFrame):
        return content
    frames = (part for part in content.findChildren(QWidget) if isinstance(part, PlotFrame))
    return next((frame for frame in frames if frame.isVisibleTo(content)), content)


def has_picture(content: QWidget) -> bool:
    """Return whether a tile shows a color map, which is a picture in every format."""
    part = drawn_part(content)
    return isinstance(part, PlotFrame) and any(
        isinstance(item, RasterItem) and item.image is not None
        for item in part.canvas.scene().items()
    )


def write_figure(content: QWidget, path: Path, size: FigureSize, *, light: bool = True) -> None:
    """Write what a tile shows as a file; the ending of its name says which format.

    Args:
        content: of the tile. path: of the file. size: of the figure. light: whether to use the
            light colors on white, whatever the theme is.

    Raises:
        InvalidInput: the format or the size cannot be written. StoreError: the file cannot be.
    """
    size.check()
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise InvalidInput(
            f"{path.name} ends in “{path.suffix}”, but a figure ends in .{', .'.join(FORMATS)}."
        )
    part = drawn_part(content)
    title = " · ".join(filter(None, (subject_of(part), part.accessibleName())))
    colors = replace(LIGHT if light else theme.current().plots, scale=size.scale)
    write = {"pdf": _pdf, "svg": _svg, "png": _png}[kind]
    write_atomically(path, write(part, size, colors, title))


def _pdf(part: QWidget, size: FigureSize, colors: PlotColors, title: str) -> bytes:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setPageSize(
        QPageSize(
            QSizeF(size.width, size.height),
            QPageSize.Unit.Millimeter,
            "",
            QPageSize.SizeMatchPolicy.ExactMatch,
        )
    )
    writer.setPageMargins(QMarginsF(0, 0, 0, 0))
    # A pixel of the layout is a unit of the page, so that the widths of pens are what they are.
    writer.setResolution(round(_BASE_DPI))
    writer.setTitle(title)
    writer.setCreator("OptLab")
    with _painting(writer) as painter:
        _paint(part, painter, _pixels(size, _BASE_DPI), colors, _DETAIL, size.dpi / _BASE_DPI)
    return bytes(buffer.data().data())


def _svg(part: QWidget, size: FigureSize, colors: PlotColors, title: str) -> bytes:
    from PySide6.QtSvg import QSvgGenerator

    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    pixels = _pixels(size, _BASE_DPI)
    generator.setResolution(round(_BASE_DPI))
    generator.setSize(QSize(round(pixels.width()), round(pixels.height())))
    generator.setViewBox(QRectF(QPointF(), pixels))
    generator.setTitle(title)
    generator.setDescription("OptLab")
    with _painting(generator) as painter:
        _paint(part, painter, pixels, colors, _DETAIL, size.dpi / _BASE_DPI)
    return outlined(bytes(buffer.data().data()), size.width, size.height)


def _png(part: QWidget, size: FigureSize, colors: PlotColors, title: str) -> bytes:
    pixels = _pixels(size, size.dpi)
    image = QImage(round(pixels.width()), round(pixels.height()), QImage.Format.Format_RGB32)
    image.setText("Title", title)
    # Laid out in its own pixels, with everything as much larger, as they are smaller.
    larger = replace(colors, scale=colors.scale * size.dpi / _BASE_DPI)
    with _painting(image) as painter:
        _paint(part, painter, QSizeF(image.size()), larger, larger.scale)
    # Afterwards: what the axes record is scaled by the resolution of what it is painted on.
    image.setDotsPerMeterX(round(1000.0 * size.dpi / MM_PER_INCH))
    image.setDotsPerMeterY(round(1000.0 * size.dpi / MM_PER_INCH))
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]  # PySide6 takes a text here
    return bytes(buffer.data().data())


def _pixels(size: FigureSize, dpi: float) -> QSizeF:
    return QSizeF(size.width, size.height) * (dpi / MM_PER_INCH)


@contextmanager
def _painting(device: Any) -> Iterator[QPainter]:
    painter = QPainter()
    if not painter.begin(device):
        raise InvalidInput("The figure cannot be drawn at this size: choose a smaller one.")
    try:
        yield painter
    finally:
        painter.end()


def _paint(
    part: QWidget,
    painter: QPainter,
    pixels: QSizeF,
    colors: PlotColors,
    detail: float,
    raster: float = 1.0,
) -> None:
    """Paint a part of a tile into a rectangle at the origin.

    Args:
        part: of the tile. painter: whose units are the pixels. pixels: size of the rectangle.
        colors: to draw with. detail: points of curves a pixel. raster: pixels of color maps a pixel.
    """
    # The pixels of the screen have nothing to do with those of the figure.
    colors = replace(colors, ratio=1.0)
    painter.fillRect(QRectF(QPointF(), pixels), QColor(colors.background))
    whole = QSize(max(1, round(pixels.width())), max(1, round(pixels.height())))
    painter.scale(pixels.width() / whole.width(), pixels.height() / whole.height())
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    with _laid_out(part, whole, colors, detail):
        if not isinstance(part, PlotFrame):
            part.render(painter, QPoint(), QRegion(), _ALL)
            return
        for entry in part.findChildren(LegendEntry):
            if entry.isChecked() and entry.isVisibleTo(part):
                entry.render(painter, entry.mapTo(part, QPoint()), QRegion(), _ALL)
        canvas = part.canvas
        if not canvas.isVisibleTo(part):
            part.message.render(painter, part.message.mapTo(part, QPoint()), QRegion(), _ALL)
            return
        corner = QPointF(canvas.mapTo(part, QPoint()))
        area = QRectF(canvas.rect())
        with _exported(canvas.scene().items(), raster):
            canvas.scene().render(painter, QRectF(corner, area.size()), area)


@contextmanager
def _laid_out(part: QWidget, size: QSize, colors: PlotColors, detail: float) -> Iterator[None]:
    """Give a part of a tile another size and other colors meanwhile."""
    geometry, set_colors = part.geometry(), getattr(part, "set_colors", None)
    before = part.colors if isinstance(part, PlotFrame) else theme.current().plots
    entries = [
        entry
        for entry in part.findChildren(LegendEntry)
        if not entry.isChecked() and not entry.isHidden()
    ]
    try:
        for entry in entries:
            entry.hide()
        if set_colors is not None:
            set_colors(colors)
        part.resize(size)
        _redraw(part, detail)
        yield
    finally:
        for entry in entries:
            entry.show()
        if set_colors is not None:
            set_colors(before)
        part.setGeometry(geometry)
        _redraw(part, 1.0)


def _redraw(part: QWidget, detail: float) -> None:
    if not part.isVisible():
        # Resizes what is inside a widget that is not visible, too.
        part.grab()
    for widget in (part, *part.findChildren(QWidget)):
        layout = widget.layout()
        if layout is not None:
            layout.activate()
    if isinstance(part, PlotFrame):
        # Twice: the first drawing may need a wider axis, which is laid out for the second.
        for _ in range(2):
            part.canvas.centralWidget.layout.activate()
            part.redraw(detail)


@contextmanager
def _exported(items: list[QGraphicsItem], raster: float) -> Iterator[None]:
    """Let items of a scene draw themselves as lines, not as pictures that they keep.

    Args:
        items: of the scene. raster: pixels a unit of those that are pictures.
    """
    modes = [(item, item.cacheMode()) for item in items]
    options = {"antialias": True, "resolutionScale": 1.0, "raster": raster}
    exporting = [item for item in items if hasattr(item, "setExportMode")]
    try:
        for item, _ in modes:
            item.setCacheMode(QGraphicsItem.CacheMode.NoCache)
        for item in exporting:
            item.setExportMode(True, options)
        yield
    finally:
        for item in exporting:
            item.setExportMode(False)
        for item, mode in modes:
            item.setCacheMode(mode)
