"""The catalogue dialog: all components in the order of the notes, with search and pages."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSplitter,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from optlab.experiment.sections import SECTIONS
from optlab.gui.geometry import resize_to_screen
from optlab.gui.item_models.catalogue_model import KIND, NAME, CatalogueModel, CatalogueSearch
from optlab.gui.panels.page_view import PageView
from optlab.gui.plain_text import PlainLabel


class CatalogueDialog(QDialog):
    """A tree of all components beside the page of the selected one.

    Signals: ``useRequested(str, str)``: kind and name of a component to use in the experiment.
    """

    useRequested = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Catalogue")
        resize_to_screen(self, 1080, 760)
        self.search = QLineEdit()
        self.search.setPlaceholderText(
            "Search names, rules, symbols, papers and the texts of the pages…"
        )
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search the catalogue")
        self.count = PlainLabel("")
        self.count.setProperty("role", "muted")
        self.entries = CatalogueSearch(CatalogueModel())
        self.tree = QTreeView()
        self.tree.setModel(self.entries)
        self.tree.setHeaderHidden(True)
        self.tree.setUniformRowHeights(True)
        self.tree.setAccessibleName("Catalogue")
        self.tree.setExpandsOnDoubleClick(False)
        self.page = PageView()
        self.use_button = QPushButton("Use in the experiment")
        self.use_button.setObjectName("primary")
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)

        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.search)
        column.addWidget(self.tree, 1)
        column.addWidget(self.count)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(left)
        split.addWidget(self.page)
        split.setStretchFactor(1, 1)
        split.setSizes([340, 740])
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.use_button)
        buttons.addWidget(closing)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(split, 1)
        layout.addLayout(buttons)

        self._search_timer = QTimer(self)
        self._search_timer.setSingleShot(True)
        self._search_timer.setInterval(80)
        self._search_timer.timeout.connect(self._search)
        self.search.textChanged.connect(lambda _text: self._search_timer.start())
        self.tree.selectionModel().currentChanged.connect(lambda index, _before: self._show(index))
        self.tree.doubleClicked.connect(lambda _index: self._use())
        self.use_button.clicked.connect(self._use)
        self._search()

    def show_entry(self, kind: str, name: str) -> None:
        """Select an entry and show its page."""
        self.search.clear()
        self._search()
        index = self.entries.index_of(kind, name)
        self.tree.setCurrentIndex(index)
        self.tree.scrollTo(index)

    def chosen(self) -> tuple[str, str] | None:
        """Return kind and name of the selected entry, or None."""
        index = self.tree.currentIndex()
        return (index.data(KIND), index.data(NAME)) if index.data(NAME) is not None else None

    def keyPressEvent(self, event: QKeyEvent) -> None:  # Qt's name
        # In the search field, the arrow keys move through the tree.
        if self.search.hasFocus() and event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
            self.tree.setFocus()
            self.tree.keyPressEvent(event)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._use()
        else:
            super().keyPressEvent(event)

    def _search(self) -> None:
        self.entries.search(self.search.text())
        self.page.show_terms(self.search.text())
        self.tree.expandAll()
        matches = self.entries.entries()
        self.count.setText(
            f"{len(matches)} entries" if matches else "No entry contains all search terms."
        )
        if matches and self.chosen() is None:
            self.tree.setCurrentIndex(matches[0])
        self._show(self.tree.currentIndex())

    def _show(self, index: QModelIndex) -> None:
        if index.data(NAME) is None:
            self.use_button.setEnabled(False)
            return
        self.page.show_component(index.data(KIND), index.data(NAME))
        selectable = index.data(KIND) in SECTIONS
        self.use_button.setEnabled(selectable)
        self.use_button.setToolTip(
            "Use this component in the experiment"
            if selectable
            else "Not selectable: every experiment has it"
        )

    def _use(self) -> None:
        chosen = self.chosen()
        if chosen is not None and self.use_button.isEnabled():
            self.useRequested.emit(*chosen)
