"""The board: an area of tiles that are moved, stacked, floated, closed and added.

It stands on Qt's own docks: a main window without a centre, inside the window. What a tile shows is
offered by its owner (:class:`TileKind`) and built when the tile is first opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QEvent, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QMainWindow, QTabWidget, QWidget

from optlab.gui.board.board_layout import BoardLayout, Column, Row
from optlab.gui.board.tile_dock import TileDock

_AREA = Qt.DockWidgetArea.LeftDockWidgetArea
_HORIZONTAL, _VERTICAL = Qt.Orientation.Horizontal, Qt.Orientation.Vertical


@dataclass(frozen=True)
class TileKind:
    """What can be shown as a tile.

    Attributes:
        key: its name in layouts. title: its heading. group: of the menu that adds it, levels
            separated by "/". make: returns its content when the tile is opened. closed: is given
            the content when the tile was closed; without it the content is kept for the next time.
    """

    key: str
    title: str
    group: str
    make: Callable[[], QWidget]
    closed: Callable[[QWidget], None] | None = None


class Board(QMainWindow):
    """The tiles.

    Signals: ``opened(str)``, ``closed(str)``: key of a tile that was opened or closed;
    ``menuRequested(str)``: the user wants the menu of a tile; ``runsDropped(str, object)``: ids of
    runs that were dropped on a tile.
    """

    opened = Signal(str)
    closed = Signal(str)
    menuRequested = Signal(str)
    runsDropped = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # A main window is a window of its own unless this is said.
        self.setWindowFlags(Qt.WindowType.Widget)
        self.setObjectName("board")
        self.setDockOptions(
            QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks
        )
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self.setDocumentMode(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self._kinds: dict[str, TileKind] = {}
        self._docks: dict[str, TileDock] = {}
        self._open: list[str] = []
        self._before_enlarging: QByteArray | None = None
        self._enlarged = ""
        self._rows: Sequence[Row] = ()

    # --- what there is ----------------------------------------------------------------------------

    def offer(self, kind: TileKind) -> None:
        """Make a tile known, which :meth:`open` shows."""
        self._kinds[kind.key] = kind

    def withdraw(self, key: str) -> None:
        """Close a tile for good."""
        self.close_tile(key)
        self._kinds.pop(key, None)
        dock = self._docks.pop(key, None)
        if dock is not None:
            self.removeDockWidget(dock)
            dock.deleteLater()

    @property
    def kinds(self) -> Mapping[str, TileKind]:
        """What can be shown, by key."""
        return self._kinds

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the tiles that are open, in the order in which they were opened."""
        return tuple(self._open)

    def tile(self, key: str) -> TileDock:
        """Return a tile that was opened.

        Raises:
            KeyError: it never was.
        """
        return self._docks[key]

    @property
    def enlarged(self) -> str:
        """Key of the tile that is enlarged, or ""."""
        return self._enlarged

    # --- changing it ------------------------------------------------------------------------------

    def open(self, key: str) -> TileDock:
        """Show a tile: beside the others, or in front where it is open already.

        Raises:
            KeyError: there is no such tile.
        """
        self.restore_all()
        dock = self._dock(key)
        if key in self._open:
            if dock.isFloating():
                dock.activateWindow()
            dock.raise_()
            return dock
        self._rows = ()
        others = [self._docks[other] for other in self._open if not self._docks[other].isFloating()]
        # Qt cannot split a place in which tiles are stacked.
        single = [other for other in others if not self.tabifiedDockWidgets(other)]
        if single:
            largest = max(single, key=lambda other: other.width() * other.height())
            wide = largest.width() > 1.6 * largest.height()
            self.splitDockWidget(largest, dock, _HORIZONTAL if wide else _VERTICAL)
        elif others:
            self.tabifyDockWidget(others[0], dock)
        else:
            self.addDockWidget(_AREA, dock)
        dock.show()
        dock.raise_()
        self._open.append(key)
        self.opened.emit(key)
        return dock

    def close_tile(self, key: str) -> None:
        """Close a tile; the others take its place."""
        if key in self._open:
            self.restore_all()
            self._rows = ()
            self._close(key)

    def enlarge(self, key: str) -> None:
        """Give a tile the entire board, or show all tiles again."""
        if self._enlarged:
            self.restore_all()
            return
        dock = self._docks[key]
        self._before_enlarging = self.saveState()
        self._enlarged = key
        if dock.isFloating():
            dock.setFloating(False)
        for other in self._open:
            if other != key:
                self._docks[other].hide()
        dock.enlarge_button.setText("⤡")

    def restore_all(self) -> None:
        """Show all tiles again, where one is enlarged."""
        before, self._before_enlarging = self._before_enlarging, None
        if before is not None:
            self._docks[self._enlarged].enlarge_button.setText("⤢")
            self._enlarged = ""
            self.restoreState(before)

    def apply(self, layout: BoardLayout, at_first: Sequence[Row] = ()) -> list[str]:
        """Arrange the tiles as a layout says, and return the names of tiles that there are not.

        Args:
            layout: which tiles, and where. at_first: rows of a layout that has none.
        """
        rows = layout.rows or at_first
        unknown = [key for row in rows for key in _keys(row) if key not in self._kinds]
        known = _without(rows, set(unknown))
        self.restore_all()
        wanted = {key for row in known for key in _keys(row)}
        for key in [key for key in self._open if key not in wanted]:
            self._close(key)
        self._arrange(known)
        if layout.arrangement and not unknown and self.restoreState(QByteArray(layout.arrangement)):
            self._rows = ()
            for key in self._open:
                self._docks[key].show()
        return unknown

    def arrangement(self) -> tuple[tuple[Row, ...], bytes]:
        """Return the tiles that are open as rows, and Qt's own form of their places and sizes.

        Rows are by what is next to each other; of tiles that are nested deeper, and of those that
        float, only Qt's form has all.
        """
        self.restore_all()
        return self._as_rows(), bytes(self.saveState().data())

    # --- within -----------------------------------------------------------------------------------

    def _dock(self, key: str) -> TileDock:
        if key not in self._docks:
            kind = self._kinds[key]
            dock = TileDock(key, kind.title, kind.make())
            dock.enlargeRequested.connect(lambda: self.enlarge(key))
            dock.closeRequested.connect(lambda: self.close_tile(key))
            dock.menuRequested.connect(lambda: self.menuRequested.emit(key))
            dock.runsDropped.connect(lambda runs: self.runsDropped.emit(key, runs))
            dock.topLevelChanged.connect(self._user_moved)
            self._docks[key] = dock
        return self._docks[key]

    def _close(self, key: str) -> None:
        dock, closed = self._docks[key], self._kinds[key].closed
        self._open.remove(key)
        if closed is None:
            dock.hide()
        else:
            del self._docks[key]
            content = dock.release()
            self.removeDockWidget(dock)
            dock.deleteLater()
            closed(content)
        self.closed.emit(key)

    def _user_moved(self, _floating: bool) -> None:
        self._rows = ()

    def _arrange(self, rows: Sequence[Row]) -> None:
        """Place tiles that are known in rows."""
        keys = [key for row in rows for key in _keys(row)]
        fresh = [key for key in keys if key not in self._open]
        for key in keys:
            self._dock(key).setFloating(False)
            self.removeDockWidget(self._dock(key))
        self._open = keys
        above: TileDock | None = None
        # All rows first: what is beside a tile is within its row then.
        for row in rows:
            head = self._dock(row.columns[0].tiles[0])
            if above is None:
                self.addDockWidget(_AREA, head)
            else:
                self.splitDockWidget(above, head, _VERTICAL)
            above = head
        for row in rows:
            left: TileDock | None = None
            for column in row.columns:
                first, *behind = (self._dock(key) for key in column.tiles)
                if left is not None:
                    self.splitDockWidget(left, first, _HORIZONTAL)
                left = first
                first.show()
                for dock in behind:
                    self.tabifyDockWidget(first, dock)
                    dock.show()
                first.raise_()
        self._rows = rows
        self._share()
        for key in fresh:
            self.opened.emit(key)

    def _share(self) -> None:
        """Give the rows and columns that were arranged last their shares of the board."""
        if not self._rows:
            return
        heads = [self._docks[row.columns[0].tiles[0]] for row in self._rows]
        self.resizeDocks(
            heads, _parts([row.height for row in self._rows], self.height()), _VERTICAL
        )
        for row in self._rows:
            docks = [self._docks[column.tiles[0]] for column in row.columns]
            shares = [column.width for column in row.columns]
            self.resizeDocks(docks, _parts(shares, self.width()), _HORIZONTAL)

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        """Keep the shares of a layout exactly until the user changes something."""
        super().resizeEvent(event)
        self._share()

    def event(self, event: QEvent) -> bool:  # Qt's name
        """Leave the shares to the user, who presses the mouse on the border between tiles."""
        if event.type() == QEvent.Type.MouseButtonPress:
            self._rows = ()
        return super().event(event)

    def _as_rows(self) -> tuple[Row, ...]:
        docked = [self._docks[key] for key in self._open if not self._docks[key].isFloating()]
        columns: list[tuple[TileDock, Column]] = []
        seen: set[TileDock] = set()
        for dock in docked:
            if dock in seen:
                continue
            stack = [dock, *(o for o in docked if o in self.tabifiedDockWidgets(dock))]
            seen.update(stack)
            front = next((one for one in stack if not one.visibleRegion().isEmpty()), dock)
            keys = (front.key, *(one.key for one in stack if one is not front))
            columns.append((front, Column(keys, float(max(1, front.width())))))
        rows: list[list[tuple[TileDock, Column]]] = []
        for front, column in sorted(columns, key=lambda part: (part[0].y(), part[0].x())):
            middle = front.y() + front.height() / 2
            if rows and middle < rows[-1][0][0].geometry().bottom():
                rows[-1].append((front, column))
            else:
                rows.append([(front, column)])
        return tuple(
            Row(
                tuple(column for _, column in sorted(row, key=lambda part: part[0].x())),
                float(max(1, row[0][0].height())),
            )
            for row in rows
        )


def _keys(row: Row) -> Iterable[str]:
    return (key for column in row.columns for key in column.tiles)


def _without(rows: Iterable[Row], unknown: set[str]) -> list[Row]:
    """Return rows without some tiles, and with each tile at its first place alone.

    Columns and rows that are empty then are left out.
    """
    seen = set(unknown)
    kept: list[Row] = []
    for row in rows:
        columns: list[Column] = []
        for column in row.columns:
            tiles = tuple(key for key in dict.fromkeys(column.tiles) if key not in seen)
            seen.update(tiles)
            if tiles:
                columns.append(Column(tiles, column.width))
        if columns:
            kept.append(Row(tuple(columns), row.height))
    return kept


def _parts(shares: Sequence[float], whole: int) -> list[int]:
    return [max(1, round(share * whole / sum(shares))) for share in shares]
