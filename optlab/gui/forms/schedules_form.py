"""The form of the section ``[schedules]``: numbers that follow a schedule of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from optlab.core.errors import InvalidInput
from optlab.core.fields import Field
from optlab.core.piecewise_text import GRAMMAR
from optlab.experiment.schedules import SCHEDULES, read
from optlab.gui.forms.schedule_preview import SchedulePreview
from optlab.gui.plain_text import PlainLabel, plain, wrapped_label

FIRST_LINE = "from 50%; linear to 100% in 500"
"""Line of a schedule that was just added."""


class SchedulesForm(QWidget):
    """Edits one line of pieces for each number that follows a schedule.

    Signals: ``changed()``: a schedule was added, removed or edited.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[str, Field] = {}
        self.rows: dict[str, _Row] = {}
        self.hint = wrapped_label("muted")
        self.hint.setText(
            "A number can change over the run: from 0.5; linear to 0.9 in 250; hold 5 epochs. "
            "Shares such as 10% are shares of its value in the form."
        )
        self.hint.setToolTip(plain(GRAMMAR))
        self.picker = QComboBox()
        self.picker.setAccessibleName("Add a schedule")
        self.picker.setToolTip("Let a number follow a schedule of its own")
        self.picker.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.picker.installEventFilter(self)
        self.picker.activated.connect(self._added)
        self.preview = SchedulePreview()
        self._rows = QVBoxLayout()
        self._rows.setSpacing(6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.hint)
        layout.addLayout(self._rows)
        layout.addWidget(self.picker)
        layout.addWidget(self.preview)
        self._fill_picker()

    # --- values -----------------------------------------------------------------------------------

    def table(self) -> dict[str, dict[str, str]]:
        """Return the section as in an experiment file; nothing where no number has a schedule."""
        lines = {path: row.line.text() for path, row in self.rows.items()}
        return {SCHEDULES: lines} if lines else {}

    def set_lines(self, lines: Mapping[str, str]) -> None:
        """Show schedules without emitting a signal."""
        for path in list(self.rows):
            self._remove(path)
        for path, line in lines.items():
            self._add(path, line)
        self._fill_picker()

    def set_fields(self, fields: Mapping[str, Field]) -> None:
        """Offer the numbers that can follow a schedule: path → field."""
        self._fields = dict(fields)
        for path, row in self.rows.items():
            row.set_label(self._label(path))
        self._fill_picker()

    def drop_unknown(self, section: str, names: Collection[str]) -> None:
        """Remove the schedules of the fields of a section that are not among ``names``."""
        for path in list(self.rows):
            owner, _, name = path.partition(".")
            if owner == section and name not in names:
                self._remove(path)

    def errors(self) -> dict[str, str]:
        """Return the error message of each path whose line is not valid."""
        return {f"{SCHEDULES}.{path}": row.error for path, row in self.rows.items() if row.error}

    def show_problem(self, path: str, sentence: str) -> bool:
        """Show an error that was found by checking the entire experiment.

        Returns:
            Whether a row is about this field (``schedules.optimizer.momentum``).
        """
        row = self.rows.get(path.removeprefix(f"{SCHEDULES}."))
        if row is not None:
            row.show_problem(sentence)
        return row is not None

    def clear_problems(self) -> None:
        """Remove the errors of :meth:`show_problem`; those of the lines themselves stay."""
        for row in self.rows.values():
            row.show_problem(row.error)

    def summary(self) -> str:
        """Return the fields that follow a schedule, for a header."""
        return ", ".join(self._label(path) for path in self.rows) or "none"

    # --- editing ----------------------------------------------------------------------------------

    def _added(self, index: int) -> None:
        path = self.picker.itemData(index)
        if path:
            self._add(path, FIRST_LINE).line.setFocus()
            self._fill_picker()
            self.changed.emit()

    def _add(self, path: str, line: str) -> _Row:
        row = _Row(path, self._label(path), line)
        row.edited.connect(self.changed)
        row.removed.connect(lambda path=path: self._removed(path))
        self.rows[path] = row
        self._rows.addWidget(row)
        return row

    def _removed(self, path: str) -> None:
        self._remove(path)
        self._fill_picker()
        self.picker.setFocus()
        self.changed.emit()

    def _remove(self, path: str) -> None:
        row = self.rows.pop(path)
        self._rows.removeWidget(row)
        row.hide()
        row.deleteLater()

    def _label(self, path: str) -> str:
        field = self._fields.get(path)
        section = path.partition(".")[0]
        return f"{field.label} ({section})" if field else path

    def _fill_picker(self) -> None:
        free = [path for path in self._fields if path not in self.rows]
        self.picker.clear()
        self.picker.addItem("Add a schedule…" if free else "No other number can follow a schedule")
        for path in free:
            self.picker.addItem(self._label(path), path)
        self.picker.setEnabled(bool(free))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # Qt's name
        if event.type() == QEvent.Type.Wheel and watched is self.picker:
            event.ignore()  # scrolling the panel must not add a schedule
            return True
        return super().eventFilter(watched, event)


class _Row(QWidget):
    """The schedule of one number: its name, the line, a button that removes it."""

    edited = Signal()
    removed = Signal()

    def __init__(self, path: str, label: str, line: str) -> None:
        super().__init__()
        self.path = path
        self.error = ""
        self.label = PlainLabel("")
        self.line = QLineEdit(line)
        self.line.setToolTip(plain(GRAMMAR))
        self.button = QToolButton()
        self.button.setText("×")
        self.problem = wrapped_label("problem")
        self.problem.hide()
        self.label.setBuddy(self.line)
        self.set_label(label)
        self.line.textEdited.connect(self._edited)
        self.button.clicked.connect(self.removed)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.label)
        layout.addLayout(row)
        layout.addWidget(self.problem)

    def set_label(self, label: str) -> None:
        """Show the name of the number."""
        self.label.setText(label)
        self.line.setAccessibleName(f"Schedule of {label}")
        self.button.setToolTip(f"Remove the schedule of {label}")
        self.button.setAccessibleName(f"Remove the schedule of {label}")

    def show_problem(self, sentence: str) -> None:
        """Show an error below the line; "" removes it."""
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))
        self.line.setAccessibleDescription(sentence)
        self.line.setProperty("invalid", bool(sentence))
        self.line.style().unpolish(self.line)
        self.line.style().polish(self.line)

    def _edited(self, text: str) -> None:
        try:
            read({self.path: text})
        except InvalidInput as error:
            self.error = str(error)
        else:
            self.error = ""
        self.show_problem(self.error)
        self.edited.emit()
