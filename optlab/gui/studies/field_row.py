"""A form whose fields say what is wrong with them."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from optlab.core.printable import printable
from optlab.gui.forms.fields_form import LABEL_WIDTH
from optlab.gui.plain_text import PlainLabel, wrapped_label


class ProblemForm(QWidget):
    """Rows of a label and an editor; a sentence can be shown below each."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setHorizontalSpacing(12)
        self._form.setVerticalSpacing(6)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._rows: dict[str, tuple[QWidget, PlainLabel, PlainLabel]] = {}

    def add_row(self, name: str, text: str, editor: QWidget, tip: str = "") -> None:
        """Add an editor; ``name`` is what :meth:`show_problem` calls it."""
        label, problem = PlainLabel(text), wrapped_label("problem")
        label.setFixedWidth(LABEL_WIDTH)
        label.setBuddy(editor)
        for widget in (label, editor):
            widget.setToolTip(tip)
        if not editor.accessibleName():
            editor.setAccessibleName(text)
        problem.hide()
        box = QWidget()
        stack = QVBoxLayout(box)
        stack.setContentsMargins(0, 0, 0, 0)
        stack.setSpacing(2)
        stack.addWidget(editor)
        stack.addWidget(problem)
        self._form.addRow(label, box)
        self._rows[name] = (box, label, problem)

    def set_row_visible(self, name: str, visible: bool) -> None:
        """Show or hide a row."""
        box, label, _ = self._rows[name]
        box.setVisible(visible)
        label.setVisible(visible)

    def show_problem(self, name: str, sentence: str) -> bool:
        """Show a sentence below a field, and return whether there is such a field that is visible."""
        if name not in self._rows or self._rows[name][0].isHidden():
            return False
        problem = self._rows[name][2]
        problem.setText(printable(sentence))
        problem.show()
        return True

    def problems(self) -> dict[str, str]:
        """Return the sentences that are shown, by field."""
        return {
            name: problem.text()
            for name, (_, _, problem) in self._rows.items()
            if not problem.isHidden()
        }

    def clear_problems(self) -> None:
        """Show no sentences."""
        for _, _, problem in self._rows.values():
            problem.hide()
