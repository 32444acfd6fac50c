"""The network as a tile: layers as columns of units, weights as lines, activations as colors."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QSizePolicy, QSpinBox, QToolTip, QWidget

from optlab.core.printable import printable
from optlab.gui.plain_text import plain
from optlab.gui.plots.colors import LIGHT, PlotColors, mixed
from optlab.gui.plots.examples_plot import gray
from optlab.gui.plots.model_tile import ModelTile
from optlab.tasks.model_point import PartName
from optlab.tasks.network_sketch import Floats, NetworkSketch, SketchLayer, SketchView

_MEAN = -1
"""Value of the example field that stands for the mean."""
_PARTS: tuple[tuple[str, PartName], ...] = (("Validation", "validation"), ("Training", "training"))


class SketchPlot(ModelTile):
    """The network with its weights, and the activations of an example or their mean."""

    tile_title = "Network"
    tile_row, tile_position = 11, 0
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Network")
        self.part = QComboBox()
        self.part.addItems([label for label, _ in _PARTS])
        self.part.setAccessibleName("Part of the data")
        self.part.currentIndexChanged.connect(self.viewChanged)
        self.example = QSpinBox()
        self.example.setRange(_MEAN, 10**6)
        self.example.setValue(_MEAN)
        self.example.setSpecialValueText("mean")
        self.example.setAccessibleName("Example whose activations are shown")
        self.example.setToolTip("Example whose activations are shown; below 0 their mean")
        self.example.valueChanged.connect(self.viewChanged)
        self.add_choice("", self.part)
        self.add_choice("Example", self.example)
        self.sketch = NetworkWidget()
        self.set_body(self.sketch)

    @property
    def view(self) -> SketchView:
        """What is asked for."""
        number = self.example.value()
        return SketchView(_PARTS[self.part.currentIndex()][1], None if number == _MEAN else number)

    def describe(self, result: NetworkSketch) -> str:
        """Return the size of the model, and what the activations are of."""
        return f"{result.parameters:,} parameters · {result.of}"

    def show_view(self, result: NetworkSketch, step: int, note: str) -> None:
        """Show the sketch, and below it what it leaves out."""
        super().show_view(result, step, " ".join([*result.notes, note]).strip())

    def draw(self, result: NetworkSketch) -> None:
        """Draw the network."""
        self.sketch.show_sketch(result, self.colors)


class NetworkWidget(QWidget):
    """Draws a network from left to right.

    Blue lines and units are positive, orange ones negative; the stronger, the larger the magnitude
    compared with the largest of the same layer.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sketch: NetworkSketch | None = None
        self._colors = LIGHT
        self.setAccessibleName("Sketch of the network")
        self.setMinimumSize(160, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_sketch(self, sketch: NetworkSketch, colors: PlotColors) -> None:
        """Draw a sketch in the colors of a theme."""
        self._sketch, self._colors = sketch, colors
        self.setAccessibleDescription("; ".join(map(sentence, sketch.layers)))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        if self._sketch is not None:
            with QPainter(self) as painter:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                self._paint(painter, self._sketch.layers)

    def event(self, event: QEvent) -> bool:  # Qt's name
        """Show what is known of a unit in a tool tip."""
        if isinstance(event, QHelpEvent):
            text = self.text_at(event.pos().toPointF())
            QToolTip.showText(event.globalPos(), plain(text), self)
            return True
        return super().event(event)

    def text_at(self, at: QPointF) -> str:
        """Return what is known of the unit at a point of the widget, or ""."""
        for number, layer in enumerate(self._layers()):
            for row, place in enumerate(self.places(number)):
                if math.hypot(at.x() - place.x(), at.y() - place.y()) > self._radius() + 2.0:
                    continue
                text = f"{printable(layer.name)}, {_noun(layer).rstrip('s')} {layer.shown[row]:,}"
                if layer.labels:
                    text += f" ({printable(layer.labels[row])})"
                if layer.activations is not None:
                    text += f": {layer.activations[row]:.4g}"
                if layer.weights is not None:
                    row_weights = ", ".join(f"{one:.3g}" for one in layer.weights[row])
                    text += f"; weights from the units drawn: {row_weights}"
                return text
        return ""

    def places(self, number: int) -> list[QPointF]:
        """Return the centers of the units that are drawn of layer ``number``, from the top."""
        assert self._sketch is not None
        layers = self._sketch.layers
        layer, line = layers[number], self.fontMetrics().height()
        top, bottom = line * 2.0 + 8, self.height() - line * 2.0 - 8
        if any(one.own_weights is not None for one in layers):
            top += 2.0 * self._radius()
        x = self.width() / len(layers) * (number + 0.5)
        count = len(layer.shown)
        step = (bottom - top) / max(count, 3)
        middle = (top + bottom) / 2.0
        return [QPointF(x, middle + (k - (count - 1) / 2.0) * step) for k in range(count)]

    def _radius(self) -> float:
        assert self._sketch is not None
        most = max(len(layer.shown) for layer in self._sketch.layers)
        line = self.fontMetrics().height()
        return float(np.clip((self.height() - 4 * line) / max(3, most) * 0.36, 2.5, 13.0))

    def _map_side(self, layer: SketchLayer) -> float:
        """Return the pixels of the side of a feature map: as many as there is room for."""
        line = self.fontMetrics().height()
        room = (self.height() - 4.0 * line - 16) / max(1, len(layer.shown))
        return min(0.88 * room, 72.0, 0.4 * self.width() / len(self._layers()))

    def _layers(self) -> tuple[SketchLayer, ...]:
        return () if self._sketch is None else self._sketch.layers

    def _paint(self, painter: QPainter, layers: tuple[SketchLayer, ...]) -> None:
        places = [self.places(number) for number in range(len(layers))]
        for number in range(1, len(layers)):
            self._paint_link(painter, layers[number], places[number - 1], places[number])
        for number, layer in enumerate(layers):
            self._paint_layer(painter, layer, places[number])
            self._paint_texts(painter, layer, number, len(layers))
            if layer.labels and number in (0, len(layers) - 1):
                self._paint_labels(painter, layer, places[number], first=number == 0)

    def _paint_link(
        self, painter: QPainter, layer: SketchLayer, before: list[QPointF], here: list[QPointF]
    ) -> None:
        weights = None if layer.weights is None else np.nan_to_num(layer.weights)
        if weights is None:
            painter.setPen(QPen(QColor(self._colors.grid), 6.0 * self._colors.scale))
            painter.drawLine(_middle(before) + QPointF(16, 0), _middle(here) - QPointF(16, 0))
            return
        largest = float(np.abs(weights).max()) or 1.0
        pairs = [(row, column) for row in range(len(here)) for column in range(len(before))]
        # The strongest last, so that they are on top.
        for row, column in sorted(pairs, key=lambda pair: abs(weights[pair])):
            share = float(weights[row, column]) / largest
            painter.setPen(self._pen(share))
            painter.drawLine(before[column], here[row])

    def _pen(self, share: float) -> QPen:
        return QPen(QColor(self.tone(share)), (0.6 + 2.2 * abs(share)) * self._colors.scale)

    def tone(self, share: float) -> str:
        """Return the color of a value, as a share of the largest magnitude, −1 to 1."""
        hue = self._colors.curve(0 if share >= 0.0 else 1)
        return mixed(self._colors.background, hue, 0.08 + 0.92 * min(1.0, abs(share)))

    def _paint_layer(self, painter: QPainter, layer: SketchLayer, places: list[QPointF]) -> None:
        radius = self._radius()
        ink = QColor(mixed(self._colors.foreground, self._colors.background, 0.35))
        edge = QPen(ink, 1.0 * self._colors.scale)
        if layer.kind == "block":
            area = QRectF(places[0], places[-1]).adjusted(
                -radius - 6, -radius - 6, radius + 6, radius + 6
            )
            painter.setPen(edge)
            painter.setBrush(QColor(mixed(self._colors.background, self._colors.foreground, 0.05)))
            painter.drawRoundedRect(area, 6, 6)
        if layer.maps is not None:
            side = self._map_side(layer)
            for place, values in zip(places, layer.maps, strict=False):
                box = QRectF(place.x() - side / 2, place.y() - side / 2, side, side)
                painter.fillRect(box, QColor(self._colors.background))
                painter.drawImage(box, gray(values, self._colors, 1))
                painter.setPen(edge)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(box)
            return
        largest, values = 1.0, None
        if layer.activations is not None and len(layer.activations):
            values = np.nan_to_num(layer.activations)
            largest = float(np.abs(values).max()) or 1.0
        for number, place in enumerate(places):
            painter.setPen(edge)
            if values is None:
                painter.setBrush(QColor(self._colors.background))
            else:
                painter.setBrush(QColor(self.tone(float(values[number]) / largest)))
            painter.drawEllipse(place, radius, radius)
        if layer.own_weights is not None:
            self._paint_loop(painter, places[0], radius, layer.own_weights)

    def _paint_loop(
        self, painter: QPainter, place: QPointF, radius: float, weights: Floats
    ) -> None:
        """Draw an arc above a state that leads to itself."""
        share = float(np.sign(np.nan_to_num(weights).sum()))
        painter.setPen(QPen(QColor(self.tone(0.7 * share)), 2.0 * self._colors.scale))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        box = QRectF(place.x() - radius, place.y() - 3 * radius, 2 * radius, 2 * radius)
        painter.drawArc(box, -60 * 16, 300 * 16)

    def _paint_labels(
        self, painter: QPainter, layer: SketchLayer, places: list[QPointF], *, first: bool
    ) -> None:
        """Write the names of inputs to the left of their units, those of classes to the right."""
        metrics, gap = painter.fontMetrics(), self._radius() + 5.0
        if len(places) > 1 and places[1].y() - places[0].y() < 0.85 * metrics.height():
            return
        painter.setPen(QColor(mixed(self._colors.foreground, self._colors.background, 0.3)))
        for place, name in zip(places, layer.labels, strict=True):
            width = place.x() - gap - 2 if first else self.width() - place.x() - gap - 2
            text = metrics.elidedText(printable(name), Qt.TextElideMode.ElideRight, int(width))
            left = 2.0 if first else place.x() + gap
            side = Qt.AlignmentFlag.AlignRight if first else Qt.AlignmentFlag.AlignLeft
            box = QRectF(left, place.y() - metrics.height() / 2, width, metrics.height())
            painter.drawText(box, side | Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_texts(
        self, painter: QPainter, layer: SketchLayer, number: int, columns: int
    ) -> None:
        metrics, across = painter.fontMetrics(), self.width() / columns
        line = metrics.height()
        left = across * number
        painter.setPen(QColor(self._colors.foreground))
        center = Qt.AlignmentFlag.AlignCenter
        width = int(across) - 4

        def write(text: str, y: float) -> None:
            elided = metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)
            painter.drawText(QRectF(left, y, across, line), center, elided)

        write(printable(layer.name), 2)
        painter.setPen(QColor(mixed(self._colors.foreground, self._colors.background, 0.3)))
        write(size(layer), line + 2)
        if len(layer.shown) < layer.units:
            shown = f"{len(layer.shown)} of {layer.units:,} drawn"
            write(shown, self.height() - 2 * line - 4)
        if layer.parameters:
            write(f"{layer.parameters:,} parameters", self.height() - line - 3)


def size(layer: SketchLayer) -> str:
    """Return the number of units, or of feature maps and their size."""
    text = f"{layer.units:,} {_noun(layer)}"
    if layer.maps is not None:
        text += f" {'×'.join(map(str, layer.maps.shape[1:]))}"
    return text


def sentence(layer: SketchLayer) -> str:
    """Return a description of a column for a screen reader."""
    return f"{layer.name}: {size(layer)}, {layer.parameters:,} parameters"


def _noun(layer: SketchLayer) -> str:
    noun = "map" if layer.maps is not None else "input" if layer.name == "input" else "unit"
    return noun if layer.units == 1 else f"{noun}s"


def _middle(places: list[QPointF]) -> QPointF:
    return (places[0] + places[-1]) / 2.0
