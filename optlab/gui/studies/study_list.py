"""The list of studies and claims: the user's files, those that ship, those that are stored, claims."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHeaderView,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from optlab.core.printable import printable
from optlab.gui.plain_text import plain
from optlab.gui.studies.verdict_delegate import VerdictDelegate
from optlab.tasks.studies import EntryKind, StudyEntry

GROUPS: dict[EntryKind, str] = {
    "file": "Your files",
    "stored": "Stored studies",
    "shipped": "Studies that ship",
    "claim": "Claims",
}
_ENTRY = Qt.ItemDataRole.UserRole + 1


class StudyList(QWidget):
    """Lists studies and claims in groups, with a filter.

    Signals: ``picked(object)``: the entry that the user selected.
    """

    picked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter, such as nesterov, K9 or undecided")
        self.filter.setAccessibleName("Filter of the list")
        self.filter.setClearButtonEnabled(True)
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Studies and claims")
        self.tree.setHeaderLabels(["What is asked or stated", "Verdict"])
        self.tree.setRootIsDecorated(True)
        self.tree.setUniformRowHeights(True)
        self.tree.setItemDelegate(VerdictDelegate(self.tree))
        self.tree.setIndentation(14)
        # Of questions about the same methods, the ends differ.
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.filter)
        layout.addWidget(self.tree, 1)
        self._groups: dict[EntryKind, QTreeWidgetItem] = {}
        for kind, title in GROUPS.items():
            group = QTreeWidgetItem(self.tree, [title])
            group.setFlags(Qt.ItemFlag.ItemIsEnabled)
            group.setFirstColumnSpanned(True)
            group.setExpanded(True)
            self._groups[kind] = group
        self.filter.textChanged.connect(lambda _text: self._apply_filter())
        self.tree.currentItemChanged.connect(self._selected)

    def show_entries(self, entries: Sequence[StudyEntry]) -> None:
        """Show these entries; the selected one stays selected."""
        selected = self.current()
        blocked = self.tree.blockSignals(True)
        for kind, group in self._groups.items():
            group.takeChildren()
            for entry in (one for one in entries if one.kind == kind):
                group.addChild(_item(entry))
        if selected is not None:
            self._select(selected.kind, selected.key)
        self.tree.blockSignals(blocked)
        self._apply_filter()

    def current(self) -> StudyEntry | None:
        """Return the selected entry, or None."""
        item = self.tree.currentItem()
        entry = item.data(0, _ENTRY) if item is not None else None
        return entry if isinstance(entry, StudyEntry) else None

    def select(self, kind: EntryKind, key: str, *, quiet: bool = False) -> bool:
        """Select an entry as the user does, and return whether there is one.

        Args:
            quiet: do not say so.
        """
        blocked = self.tree.blockSignals(quiet)
        found = self._select(kind, key)
        self.tree.blockSignals(blocked)
        return found

    def entries(self, kind: EntryKind) -> list[StudyEntry]:
        """Return the entries of a group that the filter leaves."""
        children = _children(self._groups[kind])
        return [child.data(0, _ENTRY) for child in children if not child.isHidden()]

    def _select(self, kind: EntryKind, key: str) -> bool:
        for child in _children(self._groups[kind]):
            if child.data(0, _ENTRY).key == key:
                self.tree.setCurrentItem(child)
                return True
        return False

    def _selected(self, item: QTreeWidgetItem | None) -> None:
        entry = item.data(0, _ENTRY) if item is not None else None
        if isinstance(entry, StudyEntry):
            self.picked.emit(entry)

    def _apply_filter(self) -> None:
        words = self.filter.text().lower().split()
        for group in self._groups.values():
            shown = 0
            for child in _children(group):
                entry = child.data(0, _ENTRY)
                text = " ".join((entry.key, entry.title, entry.verdict, entry.status)).lower()
                hidden = not all(word in text for word in words)
                child.setHidden(hidden)
                shown += not hidden
            group.setHidden(not shown)


def _children(group: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    found = (group.child(number) for number in range(group.childCount()))
    return [child for child in found if child is not None]


def _item(entry: StudyEntry) -> QTreeWidgetItem:
    title = f"{entry.key}. {entry.title}" if entry.kind == "claim" else entry.title
    verdict = entry.verdict or (entry.status if entry.status != "finished" else "")
    item = QTreeWidgetItem([printable(title), printable(verdict)])
    item.setToolTip(0, plain(printable("\n".join(filter(None, (title, entry.note))), lines=True)))
    item.setData(0, _ENTRY, entry)
    return item
