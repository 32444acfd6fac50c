"""The arms of a study that is being written: each a name, what it starts from, and its changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QStringListModel, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.core import toml
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.gui.plain_text import wrapped_label
from optlab.tasks.study_draft import Base, DraftArm, changes_text, read_changes


@dataclass(frozen=True)
class Source:
    """What an arm, or the study, can start from.

    Attributes:
        text: in the list. name: of a preset, or "". document: an experiment as TOML, in its place.
    """

    text: str
    name: str = ""
    document: str = ""

    @property
    def base(self) -> Base:
        """The base itself."""
        return self.name or toml.parse(self.document)


class ChangesEdit(QLineEdit):
    """Edits changes; what is typed before the sign of equality is completed to a field."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText("optimizer.name = adam, optimizer.lr = 0.001")
        self._paths = QStringListModel(self)
        self._completer = QCompleter(self._paths, self)
        self._completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self._completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._completer.setWidget(self)
        self._completer.activated.connect(self._complete)
        self.textEdited.connect(self._offer)

    def set_paths(self, paths: Sequence[str]) -> None:
        """Set the fields that are offered."""
        self._paths.setStringList(list(paths))

    def _begun(self) -> str:
        """Return the field that is being typed, "" where a value is."""
        typed = self.text()[: self.cursorPosition()].rpartition(",")[2]
        return "" if "=" in typed else typed.strip()

    def _offer(self, _text: str) -> None:
        begun = self._begun()
        if len(begun) < 2 or not self.hasFocus():
            popup = self._completer.popup()
            if popup is not None:
                popup.hide()
            return
        self._completer.setCompletionPrefix(begun)
        self._completer.complete()

    def _complete(self, path: str) -> None:
        at = self.cursorPosition()
        before, rest = self.text()[:at], self.text()[at:]
        kept = before[: len(before) - len(self._begun())]
        self.setText(f"{kept}{path} = {rest}")
        self.setCursorPosition(len(kept) + len(path) + 3)
        self.textEdited.emit(self.text())


class ArmRow(QWidget):
    """One arm.

    Signals: ``edited()``; ``removed()``: the user removes it.
    """

    edited = Signal()
    removed = Signal()

    def __init__(self, name: str, changes: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name, self.changes, self.source = QLineEdit(name), ChangesEdit(), QComboBox()
        self.changes.setText(changes)
        self.name.setAccessibleName("Name of the arm")
        self.name.setPlaceholderText("Name")
        self.name.setFixedWidth(130)
        self.changes.setAccessibleName("What the arm changes")
        self.changes.setToolTip(
            "Any field of the experiment and its value, with commas between them; empty for the base "
            "as it is"
        )
        self.source.setAccessibleName("What the arm starts from")
        self.source.setToolTip("What the arm starts from, before its changes")
        self.source.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.source.setMinimumContentsLength(12)
        self.remove_button = QToolButton()
        self.remove_button.setText("✕")
        self.remove_button.setAccessibleName("Remove this arm")
        self.remove_button.setToolTip("Remove this arm")
        self.problem = wrapped_label("problem")
        self.problem.hide()
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.name)
        row.addWidget(self.changes, 1)
        row.addWidget(self.source)
        row.addWidget(self.remove_button)
        stack = QVBoxLayout(self)
        stack.setContentsMargins(0, 0, 0, 0)
        stack.setSpacing(2)
        stack.addLayout(row)
        stack.addWidget(self.problem)
        self.name.textEdited.connect(lambda _text: self.edited.emit())
        self.changes.textEdited.connect(lambda _text: self.edited.emit())
        self.source.activated.connect(lambda _index: self.edited.emit())
        self.remove_button.clicked.connect(self.removed)

    def set_sources(self, sources: Sequence[Source]) -> None:
        """Offer what the arm can start from; the choice stays where it still exists."""
        chosen = self.source.currentText()
        self.source.clear()
        self.source.addItem("as the base", None)
        for source in sources:
            self.source.addItem(printable(source.text), source)
        self.source.setCurrentIndex(max(0, self.source.findText(chosen)))

    def arm(self) -> DraftArm:
        """Return what the row says.

        Raises:
            InvalidInput: the changes cannot be read.
        """
        source = self.source.currentData()
        base = source.base if isinstance(source, Source) else None
        return DraftArm(self.name.text().strip(), read_changes(self.changes.text()), base)

    def show_problem(self, sentence: str) -> None:
        """Show what is wrong with the arm, or nothing."""
        self.problem.setText(printable(sentence))
        self.problem.setVisible(bool(sentence))


class ArmRows(QWidget):
    """All arms.

    Signals: ``edited()``: an arm was changed, added or removed.
    """

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[ArmRow] = []
        self._sources: Sequence[Source] = ()
        self._paths: Sequence[str] = ()
        self._stack = QVBoxLayout()
        self._stack.setSpacing(6)
        self.add_button = QPushButton("Add an arm")
        # Return in a field of a dialog must not press it.
        self.add_button.setAutoDefault(False)
        self.add_button.clicked.connect(lambda _checked=False: self._add_clicked())
        below = QHBoxLayout()
        below.addWidget(self.add_button)
        below.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._stack)
        layout.addLayout(below)

    def set_arms(self, arms: Mapping[str, Mapping[str, Any]]) -> None:
        """Show arms, name → changes, in place of those before."""
        for row in tuple(self.rows):
            self._drop(row)
        for name, changes in arms.items():
            self.add(name, changes_text(changes))

    def set_sources(self, sources: Sequence[Source], paths: Sequence[str]) -> None:
        """Set what arms can start from, and the fields that they can change."""
        self._sources, self._paths = sources, paths
        for row in self.rows:
            row.set_sources(sources)
            row.changes.set_paths(paths)

    def add(self, name: str, changes: str = "") -> ArmRow:
        """Add an arm and return its row."""
        row = ArmRow(name, changes)
        row.set_sources(self._sources)
        row.changes.set_paths(self._paths)
        row.edited.connect(self.edited)
        row.removed.connect(lambda: self._remove(row))
        self._stack.addWidget(row)
        self.rows.append(row)
        self._refresh()
        return row

    def arms(self) -> list[DraftArm]:
        """Return what the rows say.

        Raises:
            InvalidInput: the changes of an arm cannot be read; ``field`` is ``arms`` and its number.
        """
        found = []
        for number, row in enumerate(self.rows):
            try:
                found.append(row.arm())
            except InvalidInput as error:
                raise InvalidInput(str(error), f"arms.{number}") from None
        return found

    def show_problem(self, number: int, sentence: str) -> None:
        """Show what is wrong with an arm."""
        self.rows[number].show_problem(sentence)

    def clear_problems(self) -> None:
        """Show no sentences."""
        for row in self.rows:
            row.show_problem("")

    def _add_clicked(self) -> None:
        taken = {row.name.text() for row in self.rows}
        number = len(self.rows) + 1
        while f"arm {number}" in taken:
            number += 1
        self.add(f"arm {number}").name.setFocus()
        self.edited.emit()

    def _remove(self, row: ArmRow) -> None:
        self._drop(row)
        self.edited.emit()

    def _drop(self, row: ArmRow) -> None:
        self.rows.remove(row)
        self._stack.removeWidget(row)
        row.hide()
        row.deleteLater()
        self._refresh()

    def _refresh(self) -> None:
        for row in self.rows:
            row.remove_button.setEnabled(len(self.rows) > 2)
