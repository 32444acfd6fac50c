"""The columns of a data file: what each holds, what it is for, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from optlab.core.printable import printable
from optlab.gui.plain_text import plain
from optlab.outside.datafiles.preview import Preview
from optlab.outside.datafiles.roles import ROLES, Role, entry, parsed
from optlab.outside.datafiles.table_report import ColumnReport

TARGET = "target"
_HEADINGS = ("Column", "Holds", "Role", "Missing", "Becomes", "In the training part")
_ROLE, _BECOMES = _HEADINGS.index("Role"), _HEADINGS.index("Becomes")
_CHOICES = (TARGET, *ROLES[: ROLES.index("date") + 1], "date:dmy", "date:mdy")
_CHOICES = (*_CHOICES, *ROLES[ROLES.index("date") + 1 :])
_KINDS = {
    "whole": "whole numbers",
    "real": "numbers",
    "words": "words",
    "dates": "dates",
    "missing": "nothing",
}
_LIKELY = {"words": Role("category"), "dates": Role("date")}
"""Roles of a column that is no target any more, by what it holds."""
_MOST_NAMED = 3
_MARGIN = 2
_CELL_PADDING = 12
"""Pixels that the style leaves beside the content of a cell."""


class ColumnsTable(QTableWidget):
    """Lists columns with their roles, which can be chosen.

    Signals: ``rolesChosen(object)``: the values of the fields ``target``, ``columns`` and
    ``ignore`` after the user chose a role.
    """

    rolesChosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setColumnCount(len(_HEADINGS))
        self.setHorizontalHeaderLabels(list(_HEADINGS))
        self.setAccessibleName("Columns and their roles")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.verticalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        # A header knows the items of its column, but not the widgets in it.
        self.horizontalHeader().setSectionResizeMode(_ROLE, QHeaderView.ResizeMode.Interactive)
        self._file: Preview | None = None
        self._fields: Mapping[str, Any] = {}

    def show_file(self, file: Preview, fields: Mapping[str, Any]) -> None:
        """List the columns of a file with the roles that the fields of its data set state."""
        self._file, self._fields = file, fields
        roles = self._roles()
        self.setRowCount(len(file.columns))
        widest = 0
        for row, column in enumerate(file.columns):
            for place, text in ((0, column.name), (1, _KINDS[column.kind])):
                self.setItem(row, place, _item(text))
            for place in range(_ROLE + 1, len(_HEADINGS)):
                self.setItem(row, place, _item(""))
            picker = self._picker(row, column.name, roles[row])
            self.setCellWidget(row, _ROLE, picker)
            self.setRowHeight(row, picker.sizeHint().height() + 2 * _MARGIN)
            widest = max(widest, picker.sizeHint().width())
        self.setColumnWidth(_ROLE, widest + 2 * _CELL_PADDING)

    def show_report(self, columns: Sequence[ColumnReport]) -> None:
        """Add what was found out when the whole file was read."""
        rows = {} if self._file is None else {c.name: i for i, c in enumerate(self._file.columns)}
        for report in columns:
            if report.name not in rows:
                continue
            missing = f"{report.missing:,} of {report.count:,}" if report.missing else "none"
            texts = (missing, _becomes(report), report.distribution)
            for place, text in enumerate(texts, start=_ROLE + 1):
                item = _item(text)
                if place == _BECOMES:
                    item.setToolTip(plain(printable("\n".join(report.inputs), lines=True)))
                self.setItem(rows[report.name], place, item)

    def picker(self, column: str) -> QComboBox:
        """Return the picker of a column's role.

        Raises:
            KeyError: there is no such column.
        """
        for row in range(self.rowCount()):
            item, picker = self.item(row, 0), self.cellWidget(row, _ROLE)
            if item is not None and item.text() == column and isinstance(picker, QComboBox):
                return picker
        raise KeyError(column)

    def _picker(self, row: int, name: str, role: str) -> QComboBox:
        picker = QComboBox()
        picker.setAccessibleName(f"Role of column {printable(name)}")
        choices = [role, *_CHOICES] if role not in _CHOICES else list(_CHOICES)
        picker.addItems([printable(choice) for choice in choices])
        picker.setCurrentIndex(choices.index(role))
        picker.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        if role == TARGET:
            picker.setEnabled(False)
            picker.setToolTip("To change it, make another column the target")
        else:
            picker.setToolTip(
                "What the column is for; the order of an ordinal one is edited in the form"
            )
        picker.activated.connect(lambda index: self.choose(row, choices[index]))
        return picker

    def _key(self, row: int) -> str:
        """Return what the fields call a column: its name, or its number where it has none."""
        assert self._file is not None
        return self._file.columns[row].name if self._fields["header"] != "no" else str(row + 1)

    def _is(self, row: int, called: str) -> bool:
        assert self._file is not None
        return called in (self._file.columns[row].name, str(row + 1))

    def _roles(self) -> list[str]:
        """Return the role of each column, as it is stated."""
        assert self._file is not None
        stated = [parsed(text) for text in self._fields["columns"]]
        roles = []
        for row, column in enumerate(self._file.columns):
            role = next((str(role) for name, role in stated if self._is(row, name)), "number")
            if any(self._is(row, name) for name in self._fields["ignore"]):
                role = "ignore"
            if column.name == self._file.target or self._is(row, self._fields["target"]):
                role = TARGET
            roles.append(role)
        return roles

    def choose(self, row: int, role: str) -> None:
        """Choose the role of the column in a row, as if it were picked."""
        assert self._file is not None
        before = self._roles()
        if role == before[row]:
            return
        target = self._fields["target"]
        own = [text for text in self._fields["columns"] if not self._is(row, parsed(text)[0])]
        ignore = [name for name in self._fields["ignore"] if not self._is(row, name)]
        if role == TARGET:
            target = self._key(row)
            if TARGET in before:
                old = before.index(TARGET)
                own = [text for text in own if not self._is(old, parsed(text)[0])]
                likely = _LIKELY.get(self._file.columns[old].kind)
                own += [entry(self._key(old), likely)] if likely else []
        elif role == "ordinal":
            own.append(f"{self._key(row)}=ordinal:{'<'.join(self._words(row))}")
        elif role != "number":
            own.append(f"{self._key(row)}={role}")
        self.rolesChosen.emit({"target": target, "columns": own, "ignore": ignore})

    def _words(self, row: int) -> list[str]:
        """Return the words of a column's first rows by the alphabet, as an order to be edited."""
        assert self._file is not None
        return sorted({cells[row] for cells in self._file.rows if cells[row].strip(" -?")})


def _item(text: str) -> QTableWidgetItem:
    return QTableWidgetItem(printable(text))


def _becomes(report: ColumnReport) -> str:
    """Return the inputs of a column in a few words."""
    if report.inputs == (report.name,):
        return "one input"
    short = [name.removeprefix(report.name).lstrip("=: ") or name for name in report.inputs]
    named = ", ".join(short[:_MOST_NAMED]) + (", …" if len(short) > _MOST_NAMED else "")
    return f"{len(short):,} inputs: {named}" if short else "no input"
