"""The stored runs as a tree that views show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QPainter, QPixmap

from optlab.core.printable import printable
from optlab.gui import theme
from optlab.gui.plain_text import plain
from optlab.gui.runs.run_columns import DEFAULT, NAME, STAR, Column, column_of
from optlab.gui.runs.run_drag import RUNS_TYPE, mime_of
from optlab.gui.runs.run_nodes import Grouping, Node, flat, tree
from optlab.gui.runs.shown_runs import ShownRuns, color_of
from optlab.gui.runs.sparklines import ROW
from optlab.tasks.run_filter import RunFilter
from optlab.tasks.run_table import RunRow, RunTable

Index = QModelIndex | QPersistentModelIndex
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_SWATCH = 10
"""Size of a color in pixels."""


class RunTreeModel(QAbstractItemModel):
    """Runs and groups of runs.

    Args:
        shown: whose eye is open.

    Signals: ``renamed(str, str)``: id and own name that the user typed; ``starred(object, bool)``:
    ids, and whether they are to have a star.
    """

    renamed = Signal(str, str)
    starred = Signal(object, bool)

    def __init__(self, shown: ShownRuns) -> None:
        super().__init__()
        self._shown = shown
        self._table = RunTable()
        self._top: list[Node] = []
        # Indices hold numbers: Qt keeps no reference to an object of Python.
        self._nodes: list[Node] = []
        self._numbers: dict[str, int] = {}
        self._filter = RunFilter()
        self._grouping: Grouping = "seeds"
        self._sorted: tuple[str, bool] | None = None
        self.columns: list[Column] = []
        self.set_columns(DEFAULT)
        shown.changed.connect(self._shown_changed)

    # --- what is shown ------------------------------------------------------------------------------

    @property
    def table(self) -> RunTable:
        """All runs."""
        return self._table

    @property
    def grouping(self) -> Grouping:
        """What is a group."""
        return self._grouping

    @property
    def count(self) -> int:
        """How many runs are listed."""
        return sum(not node.is_group for node in self._nodes)

    def set_table(self, table: RunTable) -> None:
        """Show these runs; where they are the same in the same order, only cells change."""
        before, self._table = self._table, table
        top = self._tree()
        new = flat(top)
        if [node.key for node in new] == [node.key for node in self._nodes]:
            changed = []
            for old, node in zip(self._nodes, new, strict=True):
                if old.row is not node.row or old.label != node.label:
                    changed.append(old)
                old.row, old.label, old.texts = node.row, node.label, None
            if before.names != table.names:
                changed = self._nodes
            for node in changed:
                self._emit_changed(node)
        else:
            self._rebuild(top)

    def set_filter(self, chosen: RunFilter) -> None:
        """List only these runs."""
        self._filter = chosen
        self._rebuild()

    def set_grouping(self, grouping: Grouping) -> None:
        """Set what is a group."""
        self._grouping = grouping
        self._rebuild()

    def set_columns(self, keys: Sequence[str]) -> None:
        """Show these columns beside the name; keys without a meaning are left out."""
        sample = next(iter(self._table.rows.values()), None)
        found = [column for key in dict.fromkeys(keys) if (column := column_of(key, sample))]
        self.beginResetModel()
        self.columns = [Column(NAME, "Run"), *found]
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; a negative one for the newest first."""
        inside = 0 <= column < len(self.columns)
        descending = order == Qt.SortOrder.DescendingOrder
        self._sorted = (self.columns[column].key, descending) if inside else None
        self._rebuild()

    def _tree(self) -> list[Node]:
        key, descending = self._sorted or ("", False)
        column = next((one for one in self.columns if one.key == key), None)
        return tree(self._table, self._filter, self._grouping, column, descending=descending)

    def _rebuild(self, top: list[Node] | None = None) -> None:
        self.beginResetModel()
        self._top = self._tree() if top is None else top
        self._nodes = flat(self._top)
        self._numbers = {node.key: number for number, node in enumerate(self._nodes)}
        self.endResetModel()

    # --- nodes --------------------------------------------------------------------------------------

    def node(self, index: Index) -> Node | None:
        """Return the node of an index; None at the root."""
        return self._nodes[index.internalId()] if index.isValid() else None

    def index_of(self, key: str) -> QModelIndex:
        """Return the index of a node by its key (``run ID``); an invalid one where it is not listed."""
        number = self._numbers.get(key)
        if number is None:
            return QModelIndex()
        return self.createIndex(self._nodes[number].place, 0, number)

    def parents(self) -> list[Node]:
        """Return the nodes with something below them."""
        return [node for node in self._nodes if node.children]

    def row_of(self, run_id: str) -> RunRow | None:
        """Return a run; None where there is none."""
        return self._table.rows.get(run_id)

    def name_of(self, node: Node) -> str:
        """Return what a run or a group is called."""
        if node.is_group:
            return f"{node.label} · {len(node.children):,} runs"
        record = node.row.record
        shown = self._shown.name(record.id)
        name = shown or record.name or self._table.names.get(record.id, record.title)
        return f"↳ {record.at:,} · {name}" if record.parent and "↳" not in name else name

    # --- Qt's interface -------------------------------------------------------------------------------

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008 (Qt's signature)
        above = self.node(parent)
        siblings = self._top if above is None else above.children
        if not (0 <= row < len(siblings) and 0 <= column < len(self.columns)):
            return QModelIndex()
        return self.createIndex(row, column, self._numbers[siblings[row].key])

    def parent(self, index: Index) -> QModelIndex:  # type: ignore[override]  # two of Qt's overloads
        node = self.node(index)
        if node is None or node.parent is None:
            return QModelIndex()
        return self.createIndex(node.parent.place, 0, self._numbers[node.parent.key])

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        if parent.column() > 0:
            return 0
        node = self.node(parent)
        return len(self._top if node is None else node.children)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        return len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and section < len(self.columns):
            if role == Qt.ItemDataRole.DisplayRole:
                return self.columns[section].title
            if role == Qt.ItemDataRole.TextAlignmentRole and self.columns[section].numeric:
                return _RIGHT
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        flags |= Qt.ItemFlag.ItemIsDragEnabled
        node = self.node(index)
        if node is not None and index.column() == 0:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
            if not node.is_group:
                flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        node = self.node(index)
        if node is None:
            return None
        column = self.columns[index.column()]
        match role:
            case _ if role == ROW:
                return None if node.is_group else node.row
            case Qt.ItemDataRole.DisplayRole:
                return self._text(node, column)
            case Qt.ItemDataRole.TextAlignmentRole if column.numeric:
                return _RIGHT
            case Qt.ItemDataRole.ToolTipRole:
                return plain(self._tip(node))
            case Qt.ItemDataRole.FontRole if node.row.record.id == self._shown.own:
                font = QFont()
                font.setBold(not node.is_group)
                return font
            case Qt.ItemDataRole.EditRole if column.key == NAME:
                return node.row.record.name
            case Qt.ItemDataRole.CheckStateRole if column.key == NAME:
                return self._eye(node)
            case Qt.ItemDataRole.DecorationRole if column.key == NAME and not node.is_group:
                return swatch(color_of(node.row))
        return None

    def mimeTypes(self) -> list[str]:
        return [RUNS_TYPE]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        nodes = [node for index in indexes if (node := self.node(index)) is not None]
        return mime_of(list(dict.fromkeys(run for node in nodes for run in node.run_ids)))

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        node = self.node(index)
        if node is None:
            return False
        if role == Qt.ItemDataRole.CheckStateRole:
            visible = Qt.CheckState(value) == Qt.CheckState.Checked
            self._shown.set_visible(node.run_ids, visible)
            return True
        if role == Qt.ItemDataRole.EditRole and not node.is_group:
            name = " ".join(str(value).split())
            if name != node.row.record.name:
                self.renamed.emit(node.row.record.id, name)
            return True
        return False

    def clicked(self, index: Index) -> None:
        """Give or take a star where one was clicked."""
        node = self.node(index)
        if node is not None and self.columns[index.column()].key == STAR:
            runs = node.run_ids
            rows = [self._table.rows[run] for run in runs if run in self._table.rows]
            self.starred.emit(runs, not all(row.record.starred for row in rows))

    def _text(self, node: Node, column: Column) -> str:
        if column.key == NAME:
            return printable(self.name_of(node))
        if not node.is_group:
            return column.text(node.row)
        if node.texts is None:
            node.texts = {}
        if column.key not in node.texts:
            node.texts[column.key] = self._group_text(node, column)
        return node.texts[column.key]

    def _group_text(self, node: Node, column: Column) -> str:
        """Return what all runs of a group share; of figures of their end the mean."""
        rows = [child.row for child in node.children]
        if column.key.startswith("final:"):
            values = [value for row in rows if (value := column.value(row)) is not None]
            if not values:
                return ""
            mean = sum(values) / len(values)
            return f"{mean:.2%}" if column.key.endswith("_error") else f"{mean:.4g}"
        first = column.text(rows[0])
        return first if all(column.text(row) == first for row in rows) else "…"

    def _tip(self, node: Node) -> str:
        if node.is_group:
            return printable(self.name_of(node))
        record = node.row.record
        lines = (
            printable(self.name_of(node)),
            printable(record.title) if record.title != self.name_of(node) else "",
            f"{record.id}: {printable(record.status)} after {record.steps:,} steps",
            printable(record.reason),
            f"Tags: {printable(', '.join(record.tags))}" if record.tags else "",
            printable(record.note, lines=True),
        )
        return "\n".join(filter(None, lines))

    def _eye(self, node: Node) -> Qt.CheckState:
        shown = len(node.run_set & self._shown.visible_set)
        if shown == len(node.run_set):
            return Qt.CheckState.Checked
        return Qt.CheckState.PartiallyChecked if shown else Qt.CheckState.Unchecked

    def _shown_changed(self) -> None:
        # Names and eyes of a few rows change, but which ones is not known; views repaint the rest.
        if self._nodes:
            self._emit_all()

    def _emit_all(self) -> None:
        last = len(self.columns) - 1
        self.dataChanged.emit(self.index(0, 0), self.index(len(self._top) - 1, last))
        for node in self._nodes:
            if node.children:
                index = self.index_of(node.key)
                self.dataChanged.emit(
                    self.index(0, 0, index), self.index(len(node.children) - 1, last, index)
                )

    def _emit_changed(self, node: Node) -> None:
        number = self._numbers[node.key]
        last = len(self.columns) - 1
        self.dataChanged.emit(
            self.createIndex(node.place, 0, number), self.createIndex(node.place, last, number)
        )


_swatches: dict[str, QPixmap] = {}


def swatch(color: int) -> QPixmap:
    """Return a square in a color of the palette."""
    name = theme.current().plots.curve(color)
    if name not in _swatches:
        picture = QPixmap(_SWATCH + 2, _SWATCH + 2)
        # A rim, because a selected row may have the same color.
        picture.fill(QColor(theme.current().plots.background))
        with QPainter(picture) as painter:
            painter.fillRect(1, 1, _SWATCH, _SWATCH, QColor(name))
        _swatches[name] = picture
    return _swatches[name]
