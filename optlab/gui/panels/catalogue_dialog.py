"""The catalogue: everything that can be picked, in the order of the notes, to search and to read."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSplitter,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from optlab.experiment.sections import SECTIONS
from optlab.gui.item_models.catalogue_model import KIND, NAME, CatalogueModel, CatalogueSearch
from optlab.gui.panels.page_view import PageView


class CatalogueDialog(QDialog):
    """A tree of all components beside the page of the one that is selected.

    Signals:
        useRequested: kind and name of a component that is to be put into the experiment.
    """

    useRequested = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Catalogue")
        self.resize(1080, 760)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search names, rules, symbols, papers…")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search the catalogue")
        self.count = QLabel("")
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

        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(80)
        self._settling.timeout.connect(self._look)
        self.search.textChanged.connect(lambda _text: self._settling.start())
        self.tree.selectionModel().currentChanged.connect(lambda index, _before: self._show(index))
        self.tree.doubleClicked.connect(lambda _index: self._use())
        self.use_button.clicked.connect(self._use)
        self._look()

    def show_entry(self, kind: str, name: str) -> None:
        """Select an entry and show its page."""
        self.search.clear()
        self._look()
        place = self.entries.place(kind, name)
        self.tree.setCurrentIndex(place)
        self.tree.scrollTo(place)

    def chosen(self) -> tuple[str, str] | None:
        """Kind and name of the entry that is selected."""
        index = self.tree.currentIndex()
        return (index.data(KIND), index.data(NAME)) if index.data(NAME) is not None else None

    def keyPressEvent(self, event: QKeyEvent) -> None:  # Qt's name
        # From the search line, the arrows walk the tree.
        if self.search.hasFocus() and event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
            self.tree.setFocus()
            self.tree.keyPressEvent(event)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._use()
        else:
            super().keyPressEvent(event)

    def _look(self) -> None:
        self.entries.look_for(self.search.text())
        self.tree.expandAll()
        found = self.entries.entries()
        self.count.setText(
            f"{len(found)} entries" if found else "Nothing in the catalogue holds all these words."
        )
        if found and self.chosen() is None:
            self.tree.setCurrentIndex(found[0])
        self._show(self.tree.currentIndex())

    def _show(self, index: QModelIndex) -> None:
        if index.data(NAME) is None:
            self.use_button.setEnabled(False)
            return
        self.page.show_component(index.data(KIND), index.data(NAME))
        can = index.data(KIND) in SECTIONS
        self.use_button.setEnabled(can)
        self.use_button.setToolTip(
            "Put it into the experiment"
            if can
            else "Nothing to pick: it is there in every experiment"
        )

    def _use(self) -> None:
        chosen = self.chosen()
        if chosen is not None and self.use_button.isEnabled():
            self.useRequested.emit(*chosen)
