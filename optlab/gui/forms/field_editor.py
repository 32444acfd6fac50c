"""The editor of one field: a label with its symbol, a widget, and an error message below it.

An editor keeps the text that was typed even if it is invalid: the user corrects it, not the form.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any, cast

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, FieldSet, listed_text, shown
from optlab.gui.forms.scale import POSITIONS, scale
from optlab.gui.plain_text import PlainLabel


class FieldEditor(QWidget):
    """Edits one field of a field set.

    Args:
        owner: the class that declares the field; it checks values.
        field: the field.
        where: dotted path of the field set (``"optimizer"``), for messages.

    Signals: ``valueEdited()``: the user changed the value, or the typed text became invalid or
    valid. ``displayed()``: the editor shows another value, text or message, whoever set it.
    """

    valueEdited = Signal()
    displayed = Signal()

    def __init__(self, owner: type[FieldSet], field: Field, where: str) -> None:
        super().__init__()
        self.field = field
        self._owner = owner
        self._where = where
        self._error = ""
        self._experiment_error = ""
        self._value: Any = field.default
        self.label = QLabel(label_text(field))
        self.label.setTextFormat(Qt.TextFormat.RichText)
        self.label.setToolTip(tip(field))
        self.problem = PlainLabel("")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self._build(row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.problem)
        self.set_value(field.default)

    # --- values -----------------------------------------------------------------------------------

    def value(self) -> Any:
        """Return the value; while the typed text is invalid, the last valid value."""
        return self._value

    def set_value(self, value: Any) -> None:
        """Show a value without emitting a signal."""
        self._value = tuple(value) if isinstance(value, list) else value
        self.show_error("")
        self._display(self._value)
        self.displayed.emit()

    def text(self) -> str:
        """Return the text that is shown, which may be invalid."""
        return self._editor.text() if isinstance(self._editor, QLineEdit) else text_of(self._value)

    def type_text(self, text: str) -> None:
        """Take a text as if it were typed here."""
        if isinstance(self._editor, QLineEdit):
            self._editor.setText(text)
        self._typed(text)

    def help_topic(self) -> tuple[str, str, str]:
        """Return kind and name of the component that declares the field, and the field's name.

        Kind and name are "" where the field belongs to no component.
        """
        owner = self._owner
        if issubclass(owner, Component):
            return owner.kind, owner.name, self.field.name
        return "", "", self.field.name

    def error(self) -> str:
        """Return why the typed text is invalid, or ""."""
        return self._error

    def show_error(self, sentence: str) -> None:
        """Mark the typed text as invalid, with a message below the editor; "" removes the mark."""
        self._error = sentence
        self._show_message(sentence)

    def show_experiment_error(self, sentence: str) -> None:
        """Show an error about this field that was found by checking the entire experiment."""
        self._experiment_error = sentence
        self._show_message(self._error or sentence)

    def clear_experiment_error(self) -> None:
        """Remove the message of :meth:`show_experiment_error`."""
        if self._experiment_error:
            self.show_experiment_error("")

    def _show_message(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))
        self._editor.setAccessibleDescription(sentence or self.field.help)
        if isinstance(self._editor, QLineEdit):
            self._editor.setProperty("invalid", bool(sentence))
            self._editor.style().unpolish(self._editor)
            self._editor.style().polish(self._editor)
        self.displayed.emit()

    def stops(self) -> list[QWidget]:
        """Return the widgets that take the focus, in order."""
        return [self._editor, *([self.slider] if self.slider is not None else [])]

    def editor(self) -> QWidget:
        """Return the widget that receives the keyboard focus."""
        return self._editor

    # --- building ---------------------------------------------------------------------------------

    def _build(self, row: QHBoxLayout) -> None:
        self.slider: QSlider | None = None
        self._scale = scale(self.field)
        kind = self.field.kind
        if kind == "flag":
            box = QCheckBox()
            box.toggled.connect(self._set_edited)
            self._editor: QWidget = box
        elif kind == "choice":
            combo = QComboBox()
            combo.addItems(list(self.field.choices))
            combo.currentTextChanged.connect(self._set_edited)
            self._editor = combo
        else:
            line = QLineEdit()
            line.textEdited.connect(self._typed)
            self._editor = line
            if self._scale is not None:
                line.setFixedWidth(88)
                self.slider = QSlider(Qt.Orientation.Horizontal)
                self.slider.setRange(0, POSITIONS)
                self.slider.setMinimumWidth(72)
                self.slider.valueChanged.connect(self._slider_moved)
                self.slider.setAccessibleName(f"{self.field.label}, slider")
                self.slider.setToolTip(tip(self.field))
                self._ignore_wheel(self.slider)
        self._editor.setAccessibleName(self.field.label)
        self._editor.setToolTip(tip(self.field))
        self._ignore_wheel(self._editor)
        self.label.setBuddy(self._editor)
        stretch = 0 if self.slider is not None or kind in ("flag", "choice") else 1
        row.addWidget(self._editor, stretch)
        if self.slider is not None:
            row.addWidget(self.slider, 1)
        elif stretch == 0:
            row.addStretch(1)

    def _ignore_wheel(self, widget: QWidget) -> None:
        """Keep scrolling the panel from changing values on the way."""
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        if event.type() == QEvent.Type.ShortcutOverride and _undoes(cast(QKeyEvent, event)):
            event.ignore()  # the window's undo covers all fields, and in the order of the edits
            return True
        if (
            event.type() == QEvent.Type.Wheel
            and isinstance(watched, QComboBox | QSlider | QAbstractSpinBox)
            and not watched.hasFocus()
        ):
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    # --- editing ----------------------------------------------------------------------------------

    def _typed(self, text: str) -> None:
        try:
            value = self.field.parse(text)
        except (ValueError, OverflowError):
            hint = (
                "; write the decimal point as a dot"
                if self.field.kind == "number" and "," in text
                else ""
            )
            self.show_error(
                f"{self._path()} is {shown(text)}, but it must be {self.field.allowed}{hint}."
            )
            self.valueEdited.emit()
            return
        self._set_edited(value)

    def _slider_moved(self, position: int) -> None:
        assert self._scale is not None
        value = self._scale.value(position)
        cast(QLineEdit, self._editor).setText(text_of(value))
        self._set_edited(value, from_slider=True)

    def _set_edited(self, value: Any, *, from_slider: bool = False) -> None:
        try:
            self._owner.build(
                {self.field.name: list(value) if isinstance(value, tuple) else value}, self._where
            )
        except InvalidInput as error:
            # The error of a set may name no field; here this value alone was checked.
            self.show_error(str(error))
        else:
            self._value = value
            self.show_error("")
            if self.slider is not None and not from_slider:
                self._move_slider(value)
            self.displayed.emit()
        self.valueEdited.emit()

    def _display(self, value: Any) -> None:
        editor = self._editor
        blocked = editor.blockSignals(True)
        if isinstance(editor, QCheckBox):
            editor.setChecked(value)
        elif isinstance(editor, QComboBox):
            editor.setCurrentText(value)
        else:
            cast(QLineEdit, editor).setText(text_of(value))
        editor.blockSignals(blocked)
        if self.slider is not None:
            self._move_slider(value)

    def _move_slider(self, value: float) -> None:
        assert self.slider is not None and self._scale is not None
        blocked = self.slider.blockSignals(True)
        self.slider.setValue(self._scale.position(value))
        self.slider.blockSignals(blocked)

    def _path(self) -> str:
        return f"{self._where}.{self.field.name}" if self._where else self.field.name


def _undoes(event: QKeyEvent) -> bool:
    keys = QKeySequence.StandardKey
    return event.matches(keys.Undo) or event.matches(keys.Redo)


def text_of(value: Any) -> str:
    """Return a value as text that is parsed to exactly the same value."""
    if isinstance(value, tuple | list):
        return listed_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def label_text(field: Field) -> str:
    """Return the label of an editor as rich text: label, symbol and unit."""
    symbol = f" {symbol_text(field.symbol)}" if field.symbol else ""
    unit = f" ({escape(field.unit)})" if field.unit else ""
    return f"{escape(field.label)}{symbol}{unit}"


def symbol_text(symbol: str) -> str:
    """Return a symbol as rich text: ``ε_τ`` has a subscript."""
    return re.sub(r"_(\w)", r"<sub>\1</sub>", escape(symbol))


def tip(field: Field) -> str:
    """Return the tooltip of a field: its help, its default and why, and what is allowed."""
    parts = [
        field.help,
        f"Default {text_of(field.default) or 'empty'}{': ' + field.why if field.why else '.'}",
        f"Allowed: {field.allowed}.",
    ]
    return "<qt>" + "<br>".join(escape(part) for part in parts if part) + "</qt>"
