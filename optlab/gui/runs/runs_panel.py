"""The runs panel: all stored runs, with the eye that shows their curves in the plots."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QToolButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from optlab.core.errors import InvalidInput
from optlab.gui.plain_text import wrapped_label
from optlab.gui.runs.run_nodes import Node
from optlab.gui.runs.run_tree_model import RunTreeModel
from optlab.gui.runs.shown_runs import ShownRuns
from optlab.gui.runs.sparklines import SparklineDelegate, Sparklines
from optlab.tasks.run_filter import RunFilter
from optlab.tasks.run_table import RunTable

_PAUSE_MILLISECONDS = 120
"""Time after the last key before the filter is applied."""
_NAME_WIDTH, _LEAST_NAME_WIDTH = 190, 120
"""Widths of the names, in pixels: where there is room for more columns, and at least."""


class _RunTree(QTreeView):
    """A tree whose keys act on runs: Space opens and closes the eye, Delete deletes.

    Signals: ``eyeToggled()``, ``deleteRequested()``, ``openRequested()``, ``resized()``.
    """

    eyeToggled = Signal()
    deleteRequested = Signal()
    openRequested = Signal()
    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        super().resizeEvent(event)
        self.resized.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # Qt's name
        match event.key():
            case Qt.Key.Key_Space:
                self.eyeToggled.emit()
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace:
                self.deleteRequested.emit()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.openRequested.emit()
            case _:
                super().keyPressEvent(event)


class RunsPanel(QWidget):
    """A filter, the tree of runs, and a line for messages.

    Args:
        shown: whose eye is open.

    Signals: ``selectionChanged()``; ``menuWanted(object)``: position on the screen at which the menu
    of the selected runs is asked for; ``undoRequested()``.
    """

    selectionChanged = Signal()
    menuWanted = Signal(object)
    undoRequested = Signal()

    def __init__(self, shown: ShownRuns, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("runsPanel")
        self._shown = shown
        self.model = RunTreeModel(shown)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter: adam lr<0.1 tag=keep")
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName("Filter of runs")
        self.filter.setToolTip(
            "Words in name, title, tags, note, optimizer, data or status; -word for without it; "
            "conditions on settings and results, such as lr<0.1 or validation_loss<=0.3"
        )
        self.menu_button = QToolButton()
        self.menu_button.setText("⋮")
        self.menu_button.setToolTip("Groups, columns, and what can be done with runs")
        self.menu_button.setAccessibleName("Menu of runs")
        self.menu_button.setAutoRaise(True)
        self.menu_button.clicked.connect(
            lambda: self.menuWanted.emit(
                self.menu_button.mapToGlobal(QPoint(0, self.menu_button.height()))
            )
        )
        self.tree = _RunTree()
        self.sparklines = Sparklines(self)
        self._set_up_tree()
        self.message = wrapped_label("muted")
        self.message.hide()
        self.problem = wrapped_label("problem")
        self.problem.hide()
        self.undo_button = QToolButton()
        self.undo_button.setText("Undo")
        self.undo_button.clicked.connect(self.undoRequested)
        self.undo_button.hide()
        self._typed = QTimer(self, singleShot=True, interval=_PAUSE_MILLISECONDS)
        self._typed.timeout.connect(self.apply_filter)
        self.filter.textChanged.connect(lambda _text: self._typed.start())
        self.filter.returnPressed.connect(self.apply_filter)
        above = QHBoxLayout()
        above.setSpacing(2)
        above.addWidget(self.filter, 1)
        above.addWidget(self.menu_button)
        below = QHBoxLayout()
        below.addWidget(self.message, 1)
        below.addWidget(self.undo_button, 0, Qt.AlignmentFlag.AlignTop)
        layout = self._column = QVBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(above)
        layout.addWidget(self.problem)
        layout.addWidget(self.tree, 1)
        layout.addLayout(below)
        self.setMinimumWidth(150)

    def _set_up_tree(self) -> None:
        tree = self.tree
        tree.setModel(self.model)
        tree.setUniformRowHeights(True)
        tree.setAlternatingRowColors(True)
        tree.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        tree.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        # Onto a tile, which shows the runs then; by keys Space and Enter do the same.
        tree.setDragEnabled(True)
        tree.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        tree.setItemDelegateForColumn(0, SparklineDelegate(self.sparklines, tree))
        self.sparklines.read.connect(tree.viewport().update)
        tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        tree.setTextElideMode(Qt.TextElideMode.ElideRight)
        tree.setIndentation(14)
        tree.setStyleSheet("QTreeView::item { padding: 3px 0px; }")
        tree.setAccessibleName("Stored runs")
        header = tree.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(True)
        header.setFirstSectionMovable(False)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        header.setMinimumSectionSize(24)
        tree.setSortingEnabled(True)
        tree.customContextMenuRequested.connect(
            lambda at: self.menuWanted.emit(tree.viewport().mapToGlobal(at))
        )
        tree.clicked.connect(self.model.clicked)
        tree.selectionModel().selectionChanged.connect(lambda *_: self._selected())
        self.model.modelAboutToBeReset.connect(self._remember)
        self.model.modelReset.connect(self._recall)
        self._expanded: set[str] = set()
        self._chosen: list[str] = []
        self._current = ""
        self._fitting = self._name_is_chosen = False
        header.sectionResized.connect(self._section_resized)
        tree.resized.connect(self._fit_name)
        self._fit_columns()

    def add_above(self, widget: QWidget) -> None:
        """Show a widget between the filter and the tree."""
        self._column.insertWidget(1, widget)

    # --- what is shown --------------------------------------------------------------------------

    def set_table(self, table: RunTable) -> None:
        """Show these runs."""
        self.model.set_table(table)
        if not table.rows:
            self.say("No run is stored yet. Press Start in the window, or use optlab run.")
        elif self.message.text().startswith("No run is stored"):
            self.say("")
        self.show_problem(table.hidden)

    def set_columns(self, keys: Sequence[str]) -> None:
        """Show these columns beside the name."""
        self.model.set_columns(keys)
        self._fit_columns()

    def apply_filter(self) -> None:
        """List only the runs that the filter asks for, or say why it asks for none."""
        self._typed.stop()
        try:
            chosen = RunFilter.of(self.filter.text())
        except InvalidInput as error:
            self.show_problem(str(error))
            return
        self.show_problem(self.model.table.hidden)
        self.model.set_filter(chosen)
        if self.filter.text().strip():
            self.say(f"{self.model.count:,} of {len(self.model.table.rows):,} runs")
        else:
            self.say("")

    def say(self, sentence: str, *, undo: bool = False) -> None:
        """Show a sentence below the tree; ``undo``: with a button that takes it back."""
        self.message.setText(sentence)
        self.message.setVisible(bool(sentence))
        self.undo_button.setVisible(undo)

    def show_problem(self, sentence: str) -> None:
        """Show why something is not listed or could not be done; "" for nothing."""
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    # --- the selection --------------------------------------------------------------------------

    def selected_nodes(self) -> list[Node]:
        """Return the selected runs and groups."""
        found = (self.model.node(index) for index in self.tree.selectionModel().selectedRows())
        return [node for node in found if node is not None]

    def selected_runs(self) -> list[str]:
        """Return the ids of the selected runs, those of selected groups included."""
        return list(dict.fromkeys(run for node in self.selected_nodes() for run in node.run_ids))

    def select_run(self, run_id: str) -> None:
        """Select a run, and scroll to it."""
        index = self.model.index_of(f"run {run_id}")
        if index.isValid():
            flags = QItemSelectionModel.SelectionFlag
            self.tree.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
            self.tree.scrollTo(index)

    def edit_name(self) -> None:
        """Let the user type a name in the row of the selected run."""
        nodes = self.selected_nodes()
        if len(nodes) == 1 and not nodes[0].is_group:
            index = self.model.index_of(nodes[0].key)
            self.tree.scrollTo(index)
            self.tree.edit(index)

    def _selected(self) -> None:
        self._shown.select(self.selected_runs())
        self.selectionChanged.emit()

    # --- around a reset of the model ---------------------------------------------------------------

    def _remember(self) -> None:
        self._expanded = {
            node.key
            for node in self._all_nodes()
            if self.tree.isExpanded(self.model.index_of(node.key))
        }
        self._chosen = [node.key for node in self.selected_nodes()]
        current = self.model.node(self.tree.currentIndex())
        self._current = "" if current is None else current.key
        self.tree.selectionModel().blockSignals(True)

    def _recall(self) -> None:
        for node in self._all_nodes():
            # Forks are in sight, the runs of a group are not.
            if node.key in self._expanded or not node.is_group:
                self.tree.expand(self.model.index_of(node.key))
        # Without groups and forks there is nothing to open, and names need the room.
        self.tree.setRootIsDecorated(bool(self._all_nodes()))
        selection = self.tree.selectionModel()
        selection.blockSignals(False)
        flags = QItemSelectionModel.SelectionFlag
        current = self.model.index_of(self._current)
        if current.isValid():
            selection.setCurrentIndex(current, flags.NoUpdate)
        for key in self._chosen:
            index = self.model.index_of(key)
            if index.isValid():
                selection.select(index, flags.Select | flags.Rows)
        self._selected()

    def _all_nodes(self) -> list[Node]:
        """Return the nodes with something below them."""
        return self.model.parents()

    def _fit_columns(self) -> None:
        header = self.tree.header()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        metrics = self.fontMetrics()
        for number, column in enumerate(self.model.columns[1:], 1):
            sample = {"star": "★", "status": "interrupted"}.get(column.key, "000,000")
            wide = max(metrics.horizontalAdvance(text) for text in (sample, column.title))
            self.tree.setColumnWidth(number, min(wide + 22, 160))
        self._fit_name()

    def _fit_name(self) -> None:
        """Give the names what the first of the other columns leave, until somebody chooses."""
        if self._name_is_chosen:
            return
        others = [self.tree.columnWidth(at) for at in range(1, len(self.model.columns))]
        wide = self.tree.viewport().width()
        room = wide - sum(others[:1])
        for width in others[1:]:
            if room - width < _NAME_WIDTH:
                break
            room -= width
        self._fitting = True
        self.tree.setColumnWidth(0, max(room, _LEAST_NAME_WIDTH))
        self._fitting = False

    def _section_resized(self, section: int, _before: int, _after: int) -> None:
        if section == 0 and not self._fitting:
            self._name_is_chosen = True
