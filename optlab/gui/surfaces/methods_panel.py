"""The methods of a race: a list, and forms for the selected one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from optlab.core import registry
from optlab.gui.forms.component_form import ComponentForm
from optlab.gui.forms.section import Section
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.colors import PlotColors
from optlab.tasks.surfaces import Method

_TITLES = {
    "optimizer": "Optimizer",
    "clipping": "Gradient clipping",
    "schedule": "Learning-rate schedule",
}
MAX_METHODS = 24


class MethodsPanel(QWidget):
    """An editor of the methods of a race.

    Signals: ``methodsChanged()``; ``selectionChanged(int)``: another method is selected;
    ``pageRequested(str, str)``: kind and name.
    """

    methodsChanged = Signal()
    selectionChanged = Signal(int)
    pageRequested = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self._methods: list[Method] = []
        self._colors: PlotColors | None = None
        self.list = QListWidget()
        self.list.setAccessibleName("Methods")
        self.list.setMaximumHeight(110)
        self.add_button = QPushButton("Add")
        self.add_button.setToolTip("Add a copy of the selected method")
        self.remove_button = QPushButton("Remove")
        self.start = QLineEdit()
        self.start.setAccessibleName("Start")
        self.start.setToolTip(
            "Coordinates of the start, separated by a comma. Click the plot to move it; "
            "Shift-click moves the start of all methods"
        )
        self.problem = PlainLabel("")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.forms = {kind: ComponentForm(kind) for kind in _TITLES}
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.remove_button)
        buttons.addStretch(1)
        buttons.addWidget(PlainLabel("Start"))
        buttons.addWidget(self.start)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        layout.addWidget(self.problem)
        self.sections = {
            kind: Section(title, self.forms[kind], opened=kind == "optimizer")
            for kind, title in _TITLES.items()
        }
        for section in self.sections.values():
            layout.addWidget(section)
        self.list.currentRowChanged.connect(self._selected)
        self.add_button.clicked.connect(self._add)
        self.remove_button.clicked.connect(self._remove)
        self.start.editingFinished.connect(self._start_edited)
        for kind, form in self.forms.items():
            form.changed.connect(lambda kind=kind: self._edited(kind))
            form.pageRequested.connect(self.pageRequested)

    # --- interface -------------------------------------------------

    def methods(self) -> tuple[Method, ...]:
        """Return the methods, in order."""
        return tuple(self._methods)

    @property
    def selected(self) -> int:
        """Index of the selected method."""
        return max(0, self.list.currentRow())

    def set_methods(self, methods: Sequence[Method]) -> None:
        """Replace the methods, without emitting ``methodsChanged``."""
        self._methods = list(methods)
        self._refill(0)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self._colors = colors
        for row in range(self.list.count()):
            self.list.item(row).setIcon(self._icon(self._methods[row]))

    def move_start(self, point: tuple[float, ...], *, all_methods: bool) -> None:
        """Move the start of the selected method, or of all, to a point."""
        for row in range(len(self._methods)) if all_methods else (self.selected,):
            self._methods[row] = replace(self._methods[row], start=point)
        self._show_start()
        self.methodsChanged.emit()

    def show_problem(self, message: str) -> None:
        """Show an error message below the list; "" hides it."""
        self.problem.setText(message)
        self.problem.setVisible(bool(message))

    def ready(self) -> bool:
        """Return whether all fields are valid."""
        return not any(form.errors() for form in self.forms.values())

    # --- editing --------------------------------------------------------------

    def _refill(self, row: int) -> None:
        with QSignalBlocker(self.list):
            self.list.clear()
            for method in self._methods:
                self.list.addItem(QListWidgetItem(self._icon(method), method.label))
            self.list.setCurrentRow(row)
        self._selected(row)

    def _selected(self, row: int) -> None:
        if not 0 <= row < len(self._methods):
            return
        method = self._methods[row]
        for kind, form in self.forms.items():
            with QSignalBlocker(form):
                form.set_values(_with_defaults(kind, getattr(method, kind)))
            self.sections[kind].set_summary(form.picker.currentText())
        self._show_start()
        self.remove_button.setEnabled(len(self._methods) > 1)
        self.add_button.setEnabled(len(self._methods) < MAX_METHODS)
        self.selectionChanged.emit(row)

    def _edited(self, kind: str) -> None:
        form = self.forms[kind]
        self.sections[kind].set_summary(form.picker.currentText())
        if form.errors():
            return
        row = self.selected
        before = self._methods[row]
        section = form.values()
        label = before.label
        if kind == "optimizer" and section["name"] != before.optimizer["name"]:
            label = form.picker.currentText()
            self.list.item(row).setText(label)
        self._methods[row] = replace(before, label=label, **{kind: section})  # type: ignore[arg-type]
        self.methodsChanged.emit()

    def _start_edited(self) -> None:
        method = self._methods[self.selected]
        try:
            point = tuple(float(part) for part in self.start.text().split(","))
        except ValueError:
            point = ()
        if len(point) != len(method.start):
            self.show_problem(
                f"The start is “{self.start.text()}”, but it must be {_count(len(method.start))}."
            )
            return
        self.show_problem("")
        if point != method.start:
            self.move_start(point, all_methods=False)

    def _show_start(self) -> None:
        self.start.setText(
            ", ".join(f"{coordinate:.6g}" for coordinate in self._methods[self.selected].start)
        )
        self.show_problem("")

    def _add(self) -> None:
        used = {method.color for method in self._methods}
        color = next(color for color in range(MAX_METHODS + 1) if color not in used)
        self._methods.append(replace(self._methods[self.selected], color=color))
        self._refill(len(self._methods) - 1)
        self.methodsChanged.emit()

    def _remove(self) -> None:
        row = self.selected
        del self._methods[row]
        self._refill(min(row, len(self._methods) - 1))
        self.methodsChanged.emit()

    def _icon(self, method: Method) -> QIcon:
        pixmap = QPixmap(14, 14)
        pixmap.fill(Qt.GlobalColor.transparent)
        if self._colors is not None:
            painter = QPainter(pixmap)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._colors.curve(method.color)))
            painter.drawEllipse(2, 2, 10, 10)
            painter.end()
        icon = QIcon(pixmap)
        # Keep the color of a selected item: Qt would tint it.
        icon.addPixmap(pixmap, QIcon.Mode.Selected)
        return icon


def _with_defaults(kind: str, section: object) -> dict[str, object]:
    """Return a section with all fields, missing ones at their defaults."""
    built = registry.build(kind, section)  # type: ignore[call-overload]
    return {"name": built.name, **built.values()}


def _count(numbers: int) -> str:
    return "1 number" if numbers == 1 else f"{numbers} numbers, separated by commas"
