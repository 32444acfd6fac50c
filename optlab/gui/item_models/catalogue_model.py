"""The catalogue as a tree: chapters of the notes, kinds of component, groups, entries; and the
search in it.
"""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QFont, QStandardItem, QStandardItemModel

from optlab.core import registry
from optlab.core.component import Component
from optlab.experiment import pages

KIND = Qt.ItemDataRole.UserRole + 1
NAME = Qt.ItemDataRole.UserRole + 2
_WORDS = Qt.ItemDataRole.UserRole + 3


class CatalogueModel(QStandardItemModel):
    """Everything that the registry knows.

    Entries carry :data:`KIND` and :data:`NAME`; headings do not.
    """

    def __init__(self) -> None:
        super().__init__()
        for chapter, kinds in pages.chapters():
            top = _heading(chapter, strong=True)
            self.appendRow(top)
            for kind, heading in kinds:
                # A chapter of one kind needs no second heading of nearly the same words.
                below = top if len(kinds) == 1 else _heading(heading)
                if below is not top:
                    top.appendRow(below)
                _fill(below, registry.components(kind))


class CatalogueSearch(QSortFilterProxyModel):
    """The entries that hold all the words that were typed, with their headings."""

    def __init__(self, catalogue: CatalogueModel) -> None:
        super().__init__()
        self._asked: list[str] = []
        self.setSourceModel(catalogue)
        self.setRecursiveFilteringEnabled(True)

    def look_for(self, words: str) -> None:
        """Show the entries that hold all of ``words``, in any order and case; all for none."""
        self.beginFilterChange()
        self._asked = words.casefold().split()
        self.endFilterChange()

    def filterAcceptsRow(self, row: int, parent: QModelIndex | QPersistentModelIndex) -> bool:
        index = self.sourceModel().index(row, 0, parent)
        words = index.data(_WORDS)
        # Headings come with what is below them.
        return words is not None and all(word in words for word in self._asked)

    def entries(self) -> list[QModelIndex]:
        """The entries that are shown, from the top."""
        return [index for index in self._below(QModelIndex()) if index.data(NAME) is not None]

    def place(self, kind: str, name: str) -> QModelIndex:
        """Where an entry stands; invalid where it is not shown."""
        return next(
            (
                index
                for index in self.entries()
                if (index.data(KIND), index.data(NAME)) == (kind, name)
            ),
            QModelIndex(),
        )

    def _below(self, parent: QModelIndex) -> list[QModelIndex]:
        found: list[QModelIndex] = []
        for row in range(self.rowCount(parent)):
            index = self.index(row, 0, parent)
            found += [index, *self._below(index)]
        return found


def _fill(parent: QStandardItem, components: list[type[Component]]) -> None:
    groups: dict[str, QStandardItem] = {"": parent}
    for component in components:
        if component.group not in groups:
            groups[component.group] = _heading(component.group)
        groups[component.group].appendRow(_entry(component))
    for name, item in groups.items():
        if name:
            parent.appendRow(item)


def _heading(words: str, *, strong: bool = False) -> QStandardItem:
    item = QStandardItem(words)
    item.setFlags(Qt.ItemFlag.ItemIsEnabled)
    if strong:
        font = QFont()
        font.setBold(True)
        item.setFont(font)
    return item


def _entry(component: type[Component]) -> QStandardItem:
    about = pages.page(component)
    item = QStandardItem(component.label)
    item.setEditable(False)
    item.setToolTip(about.sentence)
    item.setData(component.kind, KIND)
    item.setData(component.name, NAME)
    symbols = [word for pair in about.symbols for word in pair]
    fields = [field.label for field in about.fields]
    words = [
        component.label,
        component.name,
        component.kind,
        component.group,
        about.sentence,
        *about.explanation,
        about.source,
        *symbols,
        *fields,
    ]
    item.setData("\n".join(words).casefold(), _WORDS)
    return item
