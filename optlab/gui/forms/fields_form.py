"""The form of a field set: one editor per field, in order of declaration."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFormLayout, QWidget

from optlab.core.fields import FieldSet
from optlab.gui.forms.field_editor import FieldEditor

LABEL_WIDTH = 128
"""Width of all labels, which aligns the editors of all sections."""


class FieldsForm(QWidget):
    """Edits the fields of one field set.

    Args:
        owner: the class that declares the fields.
        where: dotted path of the set (``"optimizer"``; "" at the top).

    Signals: ``fieldEdited(str)``: the name of the field that the user edited.
    """

    fieldEdited = Signal(str)

    def __init__(self, owner: type[FieldSet], where: str) -> None:
        super().__init__()
        self.owner = owner
        self.editors: dict[str, FieldEditor] = {}
        self._wanted: Collection[str] | None = None
        self._rows = layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(12)
        layout.setVerticalSpacing(6)
        layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        for field in owner.fields():
            editor = FieldEditor(owner, field, where)
            editor.label.setFixedWidth(LABEL_WIDTH)
            editor.label.setWordWrap(True)
            editor.valueEdited.connect(lambda name=field.name: self.fieldEdited.emit(name))
            layout.addRow(editor.label, editor)
            self.editors[field.name] = editor
        conditional = [field for field in owner.fields() if field.only_if]
        switches = {field.only_if[0] for field in conditional if field.only_if}
        for name in switches | {field.name for field in conditional}:
            self.editors[name].displayed.connect(self._show_rows)
        self._show_rows()

    def values(self) -> dict[str, Any]:
        """Return the value of each field by name."""
        return {
            name: list(v) if isinstance(v := editor.value(), tuple) else v
            for name, editor in self.editors.items()
        }

    def set_values(self, values: dict[str, Any]) -> None:
        """Show values by field name; other fields are set to their defaults."""
        for name, editor in self.editors.items():
            editor.set_value(values.get(name, editor.field.default))

    def errors(self) -> dict[str, str]:
        """Return the error message of each field with an invalid value."""
        return {name: editor.error() for name, editor in self.editors.items() if editor.error()}

    def show_only(self, names: Collection[str] | None) -> None:
        """Hide all fields but the named ones; None shows all that have an effect."""
        self._wanted = names
        self._show_rows()

    def shown_fields(self) -> list[str]:
        """Return the names of the fields that are not hidden, in order of declaration."""
        return [name for name, editor in self.editors.items() if self._rows.isRowVisible(editor)]

    def stops(self) -> list[QWidget]:
        """Return the widgets that take the focus, from the top."""
        return [widget for editor in self.editors.values() for widget in editor.stops()]

    def in_use(self) -> list[str]:
        """Return the names of the fields that have an effect beside the values of the others."""
        values = {name: editor.value() for name, editor in self.editors.items()}
        return [field.name for field in self.owner.fields() if field.in_use(values)]

    def _show_rows(self) -> None:
        used = self.in_use()
        for name, editor in self.editors.items():
            # What is wrong must be seen, although it has no effect.
            shown = name in used or not editor.problem.isHidden()
            shown = shown and (self._wanted is None or name in self._wanted)
            self._rows.setRowVisible(editor, shown)

    def set_open(self, names: Collection[str]) -> None:
        """Disable all fields but the named ones."""
        for name, editor in self.editors.items():
            editor.setEnabled(name in names)
            editor.label.setEnabled(name in names)
