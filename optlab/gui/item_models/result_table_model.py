"""The table of results of a demonstration."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from optlab.gui.plots.ticks import readable
from optlab.studies.demonstrations.base import Cell, Table

_EMPTY = Table((), ())


class ResultTableModel(QAbstractTableModel):
    """Rows and columns of a demonstration's result."""

    def __init__(self) -> None:
        super().__init__()
        self._table = _EMPTY

    @property
    def table(self) -> Table:
        """The table that is shown."""
        return self._table

    def set_table(self, table: Table | None) -> None:
        """Show a table, or nothing for None."""
        self.beginResetModel()
        self._table = table or _EMPTY
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        return 0 if parent.isValid() else len(self._table.rows)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        return 0 if parent.isValid() else len(self._table.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self._table.columns[section].heading
        return None

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        cell = self._table.rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return shown(cell)
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(cell, str):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


def shown(cell: Cell) -> str:
    """Return the text of a cell."""
    if cell is None:
        return "–"
    if isinstance(cell, bool | str):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else readable(float(cell), 5)
