"""The stored runs as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from optlab.core.printable import printable
from optlab.gui.plain_text import plain
from optlab.store import RunRecord

_COLUMNS = ("Run", "State", "Steps", "Validation error", "Training loss", "Started")
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class RunsTableModel(QAbstractTableModel):
    """One row per run, the newest first."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[RunRecord] = []

    def set_records(self, records: Sequence[RunRecord]) -> None:
        """Show these runs."""
        self.beginResetModel()
        self._records = list(records)
        self.endResetModel()

    def record(self, row: int) -> RunRecord:
        """Return the run of a row."""
        return self._records[row]

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        return 0 if parent.isValid() else len(self._records)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return _COLUMNS[section]
        return None

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        record = self._records[index.row()]
        column = _COLUMNS[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (
            "Steps",
            "Validation error",
            "Training loss",
        ):
            return _RIGHT
        if role == Qt.ItemDataRole.ToolTipRole:
            reason = printable(record.reason)
            return plain(f"{record.id}: {reason}") if reason else record.id
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return self._text(record, column)

    @staticmethod
    def _text(record: RunRecord, column: str) -> str:
        match column:
            case "Run":
                return printable(record.title)
            case "State":
                return record.status
            case "Steps":
                return f"{record.steps:,}"
            case "Started":
                return (
                    datetime.fromisoformat(record.created).astimezone().strftime("%Y-%m-%d %H:%M")
                )
        key = column.lower().replace(" ", "_").replace("training", "train")
        value = (record.final or {}).get(key)
        if value is None:
            return "–"
        return f"{value:.2%}" if column == "Validation error" else f"{value:.4g}"
