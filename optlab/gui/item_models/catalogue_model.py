"""The catalogue as a searchable tree: chapters, kinds of component, groups, entries."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QFont, QStandardItem, QStandardItemModel

from optlab.core import registry
from optlab.core.component import Component
from optlab.experiment import pages
from optlab.gui.plain_text import plain

KIND = Qt.ItemDataRole.UserRole + 1
NAME = Qt.ItemDataRole.UserRole + 2
_SEARCH_TEXT = Qt.ItemDataRole.UserRole + 3


class CatalogueModel(QStandardItemModel):
    """All components of the registry.

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
    """The entries that contain all search terms, with their headings."""

    def __init__(self, catalogue: CatalogueModel) -> None:
        super().__init__()
        self._terms: list[str] = []
        self.setSourceModel(catalogue)
        self.setRecursiveFilteringEnabled(True)

    def search(self, text: str) -> None:
        """Show the entries that contain all words of ``text``, in any order and case."""
        self.beginFilterChange()
        self._terms = text.casefold().split()
        self.endFilterChange()

    def filterAcceptsRow(self, row: int, parent: QModelIndex | QPersistentModelIndex) -> bool:
        index = self.sourceModel().index(row, 0, parent)
        text = index.data(_SEARCH_TEXT)
        # Headings are shown with the entries below them.
        return text is not None and all(term in text for term in self._terms)

    def entries(self) -> list[QModelIndex]:
        """Return the indices of the shown entries, from the top."""
        return [index for index in self._below(QModelIndex()) if index.data(NAME) is not None]

    def index_of(self, kind: str, name: str) -> QModelIndex:
        """Return the index of an entry; invalid if it is not shown."""
        return next(
            (
                index
                for index in self.entries()
                if (index.data(KIND), index.data(NAME)) == (kind, name)
            ),
            QModelIndex(),
        )

    def _below(self, parent: QModelIndex) -> list[QModelIndex]:
        indices: list[QModelIndex] = []
        for row in range(self.rowCount(parent)):
            index = self.index(row, 0, parent)
            indices += [index, *self._below(index)]
        return indices


def _fill(parent: QStandardItem, components: list[type[Component]]) -> None:
    groups: dict[str, QStandardItem] = {"": parent}
    for component in components:
        if component.group not in groups:
            groups[component.group] = _heading(component.group)
        groups[component.group].appendRow(_entry(component))
    for name, item in groups.items():
        if name:
            parent.appendRow(item)


def _heading(text: str, *, strong: bool = False) -> QStandardItem:
    item = QStandardItem(text)
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
    item.setToolTip(plain(about.sentence))
    item.setData(component.kind, KIND)
    item.setData(component.name, NAME)
    symbols = [text for pair in about.symbols for text in pair]
    fields = [
        text
        for field in about.fields
        for text in (field.label, field.name, field.help, field.why, field.unit)
    ]
    parts = [
        component.label,
        component.name,
        component.kind,
        component.group,
        about.sentence,
        *about.explanation,
        about.source,
        about.differences,
        *about.rule,
        *symbols,
        *fields,
    ]
    item.setData("\n".join(parts).casefold(), _SEARCH_TEXT)
    return item
