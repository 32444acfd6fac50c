"""The live strip: the few numbers that are changed most during a run, always in sight.

Which they are follows from the chosen components: the first numbers of each section that can be
changed during a run, as many as the section declares (``Section.in_strip``). A row is a second view
of the editor in the form and holds no value of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QGridLayout, QLabel, QLineEdit, QSlider, QWidget

from optlab.core import registry
from optlab.experiment.sections import SECTIONS, live_fields, section_of
from optlab.gui.forms.component_form import ComponentForm
from optlab.gui.forms.field_editor import FieldEditor, label_text, tip
from optlab.gui.forms.fields_form import LABEL_WIDTH
from optlab.gui.forms.scale import POSITIONS


class LiveStrip(QWidget):
    """One row with slider and number for each of these fields.

    Args:
        components: kind → its form.
    """

    def __init__(self, components: Mapping[str, ComponentForm]) -> None:
        super().__init__()
        self.setObjectName("liveStrip")
        self.setAccessibleName("Live numbers")
        self._components = components
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(12, 8, 12, 4)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(4)
        most = sum(section_of(kind).in_strip for kind in SECTIONS)
        self._rows = [_Row(self._grid, number) for number in range(most)]
        for kind in SECTIONS:
            if section_of(kind).in_strip:
                components[kind].replaced.connect(self._bind)
        self._bind()

    def paths(self) -> list[str]:
        """Return the dotted paths of the fields, from the top."""
        return [row.path for row in self._rows if row.editor is not None]

    def row(self, path: str) -> _Row:
        """Return the row of a field.

        Raises:
            KeyError: no row shows it.
        """
        return {row.path: row for row in self._rows if row.editor is not None}[path]

    def help_topic(self) -> tuple[str, str, str]:
        """Return the topic of the editor whose row has the focus; nothing where none has it."""
        for row in self._rows:
            if row.editor is not None and (row.line.hasFocus() or row.slider.hasFocus()):
                return row.editor.help_topic()
        return "", "", ""

    def stops(self) -> list[QWidget]:
        """Return the widgets that take the focus, in order."""
        return [widget for row in self._rows for widget in (row.line, row.slider)]

    def _bind(self) -> None:
        chosen: list[tuple[str, FieldEditor]] = []
        # In the order of the form, in which the rate is the first.
        for kind in sorted(SECTIONS, key=lambda key: section_of(key).form_order):
            component = registry.get(kind, self._components[kind].name())
            fields = live_fields(kind, component)[: section_of(kind).in_strip]
            editors = self._components[kind].form.editors
            chosen += [(f"{kind}.{field.name}", editors[field.name]) for field in fields]
        for number, row in enumerate(self._rows):
            row.bind(*(chosen[number] if number < len(chosen) else ("", None)))
        self.setVisible(bool(chosen))


class _Row(QObject):
    """A label, a line and a slider that show what an editor shows, and edit through it."""

    def __init__(self, grid: QGridLayout, number: int) -> None:
        super().__init__(grid)
        self.path = ""
        self.editor: FieldEditor | None = None
        self.label = QLabel()
        self.label.setTextFormat(Qt.TextFormat.RichText)
        self.label.setFixedWidth(LABEL_WIDTH)
        self.label.installEventFilter(self)
        self.line = QLineEdit()
        self.line.setFixedWidth(88)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, POSITIONS)
        self.slider.setMinimumWidth(72)
        self.label.setBuddy(self.line)
        for column, widget in enumerate((self.label, self.line, self.slider)):
            grid.addWidget(widget, number, column)
        grid.setColumnStretch(2, 1)
        self.line.textEdited.connect(self._typed)
        self.slider.valueChanged.connect(self._slid)

    def bind(self, path: str, editor: FieldEditor | None) -> None:
        """Be a view of this editor, or of none."""
        before = self.editor
        if before is not None:
            self._release(before)
        self.path, self.editor = path, editor
        for widget in (self.label, self.line, self.slider):
            widget.setVisible(editor is not None)
        if editor is None:
            return
        self.slider.setVisible(editor.slider is not None)
        self._name(editor)
        for widget in (self.label, self.line, self.slider):
            widget.setToolTip(tip(editor.field))
        self.label.setToolTip(f"{label_text(editor.field)}<br>{tip(editor.field)}")
        self.line.setAccessibleName(f"{editor.field.label}, live")
        self.slider.setAccessibleName(f"{editor.field.label}, live slider")
        # The editor's own filter: the wheel changes nothing in passing, undo is the window's.
        self.line.installEventFilter(editor)
        self.slider.installEventFilter(editor)
        editor.installEventFilter(self)
        editor.displayed.connect(self._show)
        editor.destroyed.connect(self._lost)
        self._show()

    def _name(self, editor: FieldEditor) -> None:
        """Show the label with its symbol, without the unit, and shortened where it has no room.

        The tool tip has all of it.
        """
        words = editor.field.label
        self.label.setText(label_text(replace(editor.field, unit="")))
        while words and self.label.sizeHint().width() > self.label.width():
            words = words[:-1].rstrip()
            self.label.setText(label_text(replace(editor.field, unit="", label=f"{words}…")))

    def _name_again(self) -> None:
        if self.editor is not None:
            self._name(self.editor)

    def _release(self, editor: FieldEditor) -> None:
        self.line.removeEventFilter(editor)
        self.slider.removeEventFilter(editor)
        editor.removeEventFilter(self)
        editor.displayed.disconnect(self._show)
        editor.destroyed.disconnect(self._lost)
        self.editor = None

    def _lost(self) -> None:
        self.editor = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        """Follow the editor, which is locked during a run where its field is not live."""
        if watched is self.label:
            if event.type() == QEvent.Type.FontChange:
                # The label itself knows of its new font only after this.
                QTimer.singleShot(0, self, self._name_again)
            return super().eventFilter(watched, event)
        if event.type() == QEvent.Type.EnabledChange:
            self._show()
        return super().eventFilter(watched, event)

    def _show(self) -> None:
        editor = self.editor
        if editor is None:
            return
        form = editor.parentWidget()
        for widget in (self.label, self.line, self.slider):
            widget.setEnabled(form is None or editor.isEnabledTo(form))
        if self.line.text() != editor.text():
            self.line.setText(editor.text())
        problem = editor.problem.text()
        if self.line.property("invalid") != bool(problem):
            self.line.setProperty("invalid", bool(problem))
            self.line.style().unpolish(self.line)
            self.line.style().polish(self.line)
        self.line.setAccessibleDescription(problem or editor.field.help)
        if editor.slider is not None:
            blocked = self.slider.blockSignals(True)
            self.slider.setValue(editor.slider.value())
            self.slider.blockSignals(blocked)

    def _typed(self, text: str) -> None:
        if self.editor is not None:
            self.editor.type_text(text)

    def _slid(self, position: int) -> None:
        if self.editor is not None and self.editor.slider is not None:
            self.editor.slider.setValue(position)
