"""Tiles of what the model gets wrong: the examples, and the confusion matrix."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QIcon, QImage, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QListView,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QToolTip,
    QWidget,
)

from optlab.core.printable import printable
from optlab.gui.plain_text import plain
from optlab.gui.plots.colors import LIGHT, PlotColors, mixed
from optlab.gui.plots.model_tile import ModelTile
from optlab.gui.plots.ticks import readable
from optlab.tasks.hard_examples import ExamplesView, Floats, HardExamples
from optlab.tasks.model_point import PartName

_SIDE = 56
"""Pixels of a picture, at least."""
MAX_INPUTS = 24
"""Inputs of an example that are columns of the table."""
MAX_NUMBERS = 14
"""Classes up to which the counts stand in the matrix; of more the mouse shows them."""
_PARTS: tuple[tuple[str, PartName], ...] = (("Validation", "validation"), ("Training", "training"))


class _ExamplesTile(ModelTile):
    """A tile with a choice of the part of the data."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.part = QComboBox()
        self.part.addItems([label for label, _ in _PARTS])
        self.part.setAccessibleName("Part of the data")
        self.part.currentIndexChanged.connect(self.viewChanged)
        self.add_choice("", self.part)

    @property
    def view(self) -> ExamplesView:
        """What is asked for."""
        return ExamplesView(_PARTS[self.part.currentIndex()][1])


class WrongExamplesPlot(_ExamplesTile):
    """The examples that the model gets wrong, those with the largest loss first."""

    tile_title = "Examples it gets wrong"
    tile_row, tile_position = 10, 1
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Examples it gets wrong")
        self.pictures = QListWidget()
        self.pictures.setViewMode(QListView.ViewMode.IconMode)
        self.pictures.setMovement(QListView.Movement.Static)
        self.pictures.setResizeMode(QListView.ResizeMode.Adjust)
        self.pictures.setIconSize(QSize(_SIDE, _SIDE))
        self.pictures.setSpacing(6)
        self.pictures.setAccessibleName("Pictures of wrong examples")
        self.table = QTableWidget()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setAccessibleName("Wrong examples")
        self.body = QStackedWidget()
        self.body.addWidget(self.pictures)
        self.body.addWidget(self.table)
        self.set_body(self.body)

    def describe(self, result: HardExamples) -> str:
        """Return how many are wrong, and the mean loss."""
        loss = f"mean loss {readable(result.loss, 4)}"
        if not result.classes:
            return f"largest losses of {result.examples:,} examples · {loss}"
        return f"{result.wrong:,} of {result.examples:,} wrong · {loss}"

    def show_view(self, result: HardExamples, step: int, note: str) -> None:
        """Show the examples, or say that none is wrong."""
        super().show_view(result, step, note)
        if result.classes and not result.wrong:
            self.message.setText(f"No example of the {result.part} part is wrong.")
            self.show_message()

    def draw(self, result: HardExamples) -> None:
        """Show pictures where the inputs are a picture, else the inputs as numbers."""
        if result.pictures:
            self._draw_pictures(result)
        else:
            self._draw_table(result)
        self.body.setCurrentIndex(0 if result.pictures else 1)

    def _draw_pictures(self, result: HardExamples) -> None:
        self.pictures.clear()
        for row in range(len(result.indices)):
            icon = QIcon(QPixmap.fromImage(gray(result.inputs[row], self.colors, _SIDE)))
            item = QListWidgetItem(icon, f"{_said(result, row)}\n{result.losses[row]:.3g}")
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
            item.setToolTip(plain(sentence(result, row)))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, sentence(result, row))
            self.pictures.addItem(item)

    def _draw_table(self, result: HardExamples) -> None:
        flat = result.inputs.reshape(len(result.inputs), math.prod(result.inputs.shape[1:]))
        shown = flat[:, :MAX_INPUTS]
        names = [printable(name) for name in result.input_names[: shown.shape[1]]] or [
            f"input {number + 1}" for number in range(shown.shape[1])
        ]
        more = flat.shape[1] - shown.shape[1]
        headings = ["Example", "Loss", "True", "Predicted", *names]
        headings += [f"… {more:,} more"] if more else []
        self.table.setRowCount(len(flat))
        self.table.setColumnCount(len(headings))
        self.table.setHorizontalHeaderLabels(headings)
        for row in range(len(flat)):
            texts = [
                f"{result.indices[row]:,}",
                f"{result.losses[row]:.4g}",
                _named(result, result.targets[row]),
                _named(result, result.predicted[row]),
                *(readable(float(value), 4) for value in shown[row]),
                *([""] if more else []),
            ]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column not in (2, 3) or not result.classes:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(row, column, item)


class ConfusionPlot(_ExamplesTile):
    """How many examples of each class are predicted to be of each class, and the recall."""

    tile_title = "Confusion matrix"
    tile_row, tile_position = 10, 2
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Confusion matrix")
        self.matrix = ConfusionMatrix()
        self.set_body(self.matrix)

    def describe(self, result: HardExamples) -> str:
        """Return the share of right examples."""
        if not result.classes:
            return ""
        right = (result.examples - result.wrong) / result.examples
        return f"{right:.1%} of {result.examples:,} right"

    def draw(self, result: HardExamples) -> None:
        """Draw the matrix."""
        self.matrix.show_counts(result.confusion, result.recall, result.classes, self.colors)

    def show_view(self, result: HardExamples, step: int, note: str) -> None:
        """Show the matrix, or say that there is none."""
        if result.classes:
            super().show_view(result, step, note)
        else:
            self.show_problem("A confusion matrix needs classes, but the targets are numbers.")


class ConfusionMatrix(QWidget):
    """Draws counts: a row for each true class, a column for each predicted one, then the recall."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._counts: NDArray[np.int64] = np.zeros((0, 0), dtype=np.int64)
        self._recall: Floats = np.zeros(0)
        self._names: tuple[str, ...] = ()
        self._colors = LIGHT
        self.setAccessibleName("Confusion matrix")
        self.setMinimumSize(120, 100)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_counts(
        self,
        counts: NDArray[np.int64],
        recall: Floats,
        names: tuple[str, ...],
        colors: PlotColors,
    ) -> None:
        """Draw counts ``[K, K]``, recalls ``[K]`` and the names of the classes."""
        self._counts, self._recall, self._colors = counts, recall, colors
        self._names = tuple(printable(name) for name in names)
        self.setAccessibleDescription(
            "; ".join(
                f"true {name}: " + ", ".join(map(str, row))
                for name, row in zip(self._names, counts.tolist(), strict=True)
            )
        )
        self.update()

    def cell(self, row: int, column: int) -> QRectF:
        """Return where the count of a true and a predicted class is drawn; column K is the recall."""
        area, side, height = self._area()
        top = area.top() + row * height
        if column == len(self._names):
            return QRectF(area.right() + 6, top, self._recall_width(), height - 1)
        return QRectF(area.left() + column * side, top, side - 1, height - 1)

    def _recall_width(self) -> float:
        return float(self.fontMetrics().horizontalAdvance("recall") + 4)

    def _area(self) -> tuple[QRectF, float, float]:
        """Return where the cells are, and their width and height."""
        metrics = self.fontMetrics()
        widest = max((metrics.horizontalAdvance(name) for name in self._names), default=0)
        left = min(widest, self.width() // 4) + 16 + metrics.height()
        top = 2 * metrics.height() + 6
        count = len(self._names)
        room = self.width() - left - self._recall_width() - 12.0
        side = max(2.0, room / max(1, count))
        height = max(2.0, (self.height() - top - 6.0) / max(1, count))
        side, height = min(side, 2.4 * height, 320.0), min(height, 220.0)
        return QRectF(left, top, side * count, height * count), side, height

    def paintEvent(self, event: QPaintEvent) -> None:  # Qt's name
        if not self._names:
            return
        with QPainter(self) as painter:
            self._paint(painter)

    def _paint(self, painter: QPainter) -> None:
        colors, count = self._colors, len(self._names)
        area, side, height = self._area()
        metrics = painter.fontMetrics()
        quiet = QColor(mixed(colors.foreground, colors.background, 0.25))
        widest = metrics.horizontalAdvance(f"{int(self._counts.max(initial=0)):,}")
        numbers = count <= MAX_NUMBERS and height >= metrics.height() and side >= widest + 2
        sums = np.maximum(self._counts.sum(axis=1), 1)
        center = Qt.AlignmentFlag.AlignCenter
        painter.setPen(quiet)
        word = float(metrics.horizontalAdvance("predicted") + 4)
        head = QRectF(area.left(), 0, max(area.width(), word), metrics.height())
        painter.drawText(head, center, "predicted")
        painter.save()
        painter.translate(2, area.center().y())
        painter.rotate(-90)
        painter.drawText(
            QRectF(-area.height() / 2, 0, area.height(), metrics.height()), center, "true"
        )
        painter.restore()
        every = max(1, math.ceil(metrics.height() / height))
        for number, name in enumerate(self._names):
            top = QRectF(area.left() + number * side, metrics.height() + 2, side, metrics.height())
            painter.setPen(quiet)
            if side >= 1.5 * metrics.averageCharWidth() and number % every == 0:
                text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(side) - 2)
                painter.drawText(top, center, text if len(text) > 1 or text == name else "")
            if number % every == 0:
                row = self.cell(number, 0)
                label = QRectF(
                    metrics.height() + 4, row.top(), area.left() - metrics.height() - 10, height
                )
                text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(label.width()))
                painter.drawText(
                    label, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text
                )
            for other in range(count):
                share = float(self._counts[number, other]) / float(sums[number])
                hue = colors.curve(0 if number == other else 1)
                tone = mixed(colors.background, hue, 0.06 + 0.74 * share if share else 0.03)
                box = self.cell(number, other)
                painter.fillRect(box, QColor(tone))
                if numbers:
                    strong = colors.foreground if self._counts[number, other] else colors.grid
                    painter.setPen(QColor(strong if share < 0.55 else _ink(tone)))
                    painter.drawText(box, center, f"{self._counts[number, other]:,}")
            if number % every == 0 and not math.isnan(self._recall[number]):
                painter.setPen(quiet)
                painter.drawText(self.cell(number, count), center, f"{self._recall[number]:.0%}")
        painter.setPen(quiet)
        painter.drawText(
            QRectF(area.right() + 6, metrics.height() + 2, self._recall_width(), metrics.height()),
            center,
            "recall",
        )

    def event(self, event: QEvent) -> bool:  # Qt's name
        """Show what a cell counts in a tool tip."""
        if isinstance(event, QHelpEvent):
            text = self.text_at(event.pos().x(), event.pos().y())
            QToolTip.showText(event.globalPos(), plain(text), self)
            return True
        return super().event(event)

    def text_at(self, x: float, y: float) -> str:
        """Return what is counted at a point of the widget, or ""."""
        for row, true in enumerate(self._names):
            for column, predicted in enumerate(self._names):
                if self.cell(row, column).contains(x, y):
                    count = int(self._counts[row, column])
                    return f"{count:,} examples of {true} predicted to be {predicted}"
        return ""


def gray(values: Floats, colors: PlotColors, side: int) -> QImage:
    """Return inputs ``[rows, columns]`` or ``[planes, rows, columns]`` as a picture.

    Three planes are colors, others are averaged. High values are dark on a light background and
    light on a dark one.

    Args:
        values: of one example. colors: of the theme. side: pixels of the longer side, at least.
    """
    planes = np.nan_to_num(values.reshape(-1, *values.shape[-2:]))
    low, high = float(planes.min()), float(planes.max())
    share = (planes - low) / max(high - low, 1e-300)
    if len(planes) == 3:
        rgb = np.moveaxis(share, 0, -1)
    else:
        paper, ink = (np.array(_rgb(one)) / 255.0 for one in (colors.background, colors.foreground))
        rgb = paper + share.mean(axis=0)[:, :, None] * (ink - paper)
    factor = max(1, math.ceil(side / max(rgb.shape[:2])))
    data = np.ascontiguousarray(
        (rgb * 255).round().clip(0, 255).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    )
    height, width = data.shape[:2]
    return QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def sentence(result: HardExamples, row: int) -> str:
    """Return what is known of an example that is shown."""
    text = (
        f"Example {result.indices[row]:,} of the {result.part} part: true "
        f"{_named(result, result.targets[row])}, predicted "
        f"{_named(result, result.predicted[row])}, loss {result.losses[row]:.4g}"
    )
    if not math.isnan(result.chances[row]):
        text += f", probability of the true class {result.chances[row]:.2%}"
    return text + "."


def _said(result: HardExamples, row: int) -> str:
    if not result.classes:
        return f"example {result.indices[row]:,}"
    return f"{_named(result, result.targets[row])} → {_named(result, result.predicted[row])}"


def _named(result: HardExamples, value: NDArray[np.float64] | np.int64) -> str:
    if result.classes:
        return printable(result.classes[int(value)])
    values = np.atleast_1d(np.asarray(value, dtype=np.float64))
    return ", ".join(readable(float(one), 4) for one in values[:3]) + (
        ", …" if len(values) > 3 else ""
    )


def _ink(color: str) -> str:
    """Return black or white, whichever is readable on a color."""
    red, green, blue = _rgb(color)
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#ffffff"


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
