"""Stored runs side by side: what differs, what they came to, their curves, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QPushButton,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from optlab.core.printable import printable
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.panels.tile import Tile
from optlab.gui.plain_text import PlainLabel, plain
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.studies.draft_sections import measure_names
from optlab.gui.studies.forest_plot import ForestPlot
from optlab.studies.comparison.words import comparison_sentence
from optlab.tasks.run_comparison import Asked, CompareRunsTask, RunComparison
from optlab.tasks.stored_runs import RunList, RunListTask

_ID = Qt.ItemDataRole.UserRole + 1
MAX_RUNS = 64
"""Runs that are compared at once."""


class CompareWindow(QMainWindow):
    """The place in which stored runs are compared.

    Args:
        prewarmer: not used: reading waits for the disk more than it computes.

    Signals: ``closed()``: the user closed the window.
    """

    closed = Signal()

    def __init__(
        self, prewarmer: WorkerPrewarmer | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare runs – OptLab")
        resize_to_screen(self, 1280, 820)
        self.listing, self.comparing = TaskBridge(None, self), TaskBridge(None, self)
        self.comparison: RunComparison | None = None
        self._wanted: tuple[str, ...] = ()
        self.filter, self.list = QLineEdit(), QListWidget()
        self.of, self.effect = QComboBox(), QComboBox()
        self.curves, self.forest = CurvePlot(log_y=True), ForestPlot()
        self.differs, self.finals = _table("Settings that differ"), _table("Final values")
        self.sentences, self.message = PlainLabel(""), ElidedLabel("")
        self.copy_action = QAction("Copy as command", self)
        self._build()
        self._connect()
        self.apply_theme()
        self.listing.ask(RunListTask())

    def _build(self) -> None:
        self._fill_controls()
        left = QWidget()
        stack = QVBoxLayout(left)
        stack.setContentsMargins(8, 8, 0, 8)
        stack.addWidget(self.filter)
        stack.addWidget(self.list, 1)
        left.setMinimumWidth(260)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(left)
        split.addWidget(self._right())
        split.setStretchFactor(1, 1)
        split.setSizes([320, 960])
        self.setCentralWidget(scrollable(split))

    def _fill_controls(self) -> None:
        self.filter.setPlaceholderText("Filter runs")
        self.filter.setAccessibleName("Filter of the runs")
        self.filter.setClearButtonEnabled(True)
        self.list.setAccessibleName("Stored runs")
        self.of.addItems(measure_names())
        self.of.setCurrentText("validation_loss")
        self.of.setAccessibleName("What is compared")
        self.effect.addItems(["difference", "ratio", "log-ratio"])
        self.effect.setAccessibleName("How two arms are compared")
        self.curves.empty_text = "Tick two runs or more."
        self.forest.empty_text = "Tick runs of two experiments; several seeds of each decide more."
        self.sentences.setWordWrap(True)
        self.sentences.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.sentences.setContentsMargins(8, 4, 8, 4)
        self.message.setAccessibleName("Messages")
        self._say_found("")

    def _right(self) -> QWidget:
        above = QSplitter(Qt.Orientation.Horizontal)
        above.addWidget(Tile("Curves", self.curves))
        above.addWidget(Tile("Effect of every two arms", self.forest))
        below = QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(Tile("Settings that differ", self.differs))
        below.addWidget(Tile("Final values", self.finals))
        plots = QSplitter(Qt.Orientation.Vertical)
        for row in (above, below):
            row.setChildrenCollapsible(False)
            row.setSizes([500, 500])
            plots.addWidget(row)
        plots.setChildrenCollapsible(False)
        plots.setSizes([560, 300])
        copy = QPushButton("Copy as command")
        copy.clicked.connect(self.copy_action.trigger)
        self.addAction(self.copy_action)
        choices = QHBoxLayout()
        for widget in (PlainLabel("Final"), self.of, PlainLabel("compared by"), self.effect):
            choices.addWidget(widget)
        choices.addWidget(self.message, 1)
        choices.addWidget(copy)
        right = QWidget()
        layout = QVBoxLayout(right)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(choices)
        layout.addWidget(plots, 1)
        layout.addWidget(self.sentences)
        return right

    def _connect(self) -> None:
        self.filter.textChanged.connect(self._apply_filter)
        self.list.itemChanged.connect(lambda _item: self._ask())
        self.of.currentTextChanged.connect(lambda _text: self._ask())
        self.effect.currentTextChanged.connect(lambda _text: self._ask())
        self.listing.answered.connect(self._show_list)
        self.listing.failed.connect(self.message.setText)
        self.comparing.answered.connect(self._show)
        self.comparing.failed.connect(self.message.setText)
        self.copy_action.triggered.connect(lambda _checked=False: self.copy_command())
        theme.notifier().themeChanged.connect(self.apply_theme)

    def apply_theme(self) -> None:
        """Apply the colors of the theme to the plots."""
        self.curves.set_colors(theme.current().plots)
        self.forest.set_colors(theme.current().plots)

    def _say_found(self, sentences: str) -> None:
        """Show what was found below the tiles, which have the room where nothing was."""
        self.sentences.setText(sentences)
        self.sentences.setVisible(bool(sentences))

    # --- the runs ---------------------------------------------------------------------------------

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Compare these runs in place of those that are ticked."""
        self._wanted = tuple(run_ids)
        self.listing.ask(RunListTask())

    def ticked(self) -> list[str]:
        """Return the ids of the runs that are compared."""
        items = (self.list.item(number) for number in range(self.list.count()))
        return [one.data(_ID) for one in items if one.checkState() == Qt.CheckState.Checked]

    def _show_list(self, runs: RunList) -> None:
        ticked = set(self._wanted or self.ticked())
        self._wanted = ()
        blocked = self.list.blockSignals(True)
        self.list.clear()
        for record in runs.records:
            item = QListWidgetItem(printable(f"{record.title} · {record.status}"))
            item.setToolTip(plain(printable(f"{record.id}\n{record.title}", lines=True)))
            item.setData(_ID, record.id)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            on = record.id in ticked
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(blocked)
        self._apply_filter(self.filter.text())
        if not runs.records:
            self.message.setText("No run is stored yet.")
        self._ask()

    def _apply_filter(self, text: str) -> None:
        words = text.lower().split()
        for number in range(self.list.count()):
            item = self.list.item(number)
            whole = f"{item.text()} {item.data(_ID)}".lower()
            item.setHidden(not all(word in whole for word in words))

    # --- comparing --------------------------------------------------------------------------------

    def _ask(self) -> None:
        ids = self.ticked()
        if len(ids) > MAX_RUNS:
            self.message.setText(f"At most {MAX_RUNS} runs are compared at once; untick some.")
            return
        self.message.setText("")
        if len(ids) < 2:
            self._clear()
            return
        measured = {"what": "final", "of": self.of.currentText()}
        self.comparing.ask(CompareRunsTask(tuple(ids), Asked(measured, self.effect.currentText())))

    def _clear(self) -> None:
        self.comparison = None
        self.curves.remove_all()
        self.curves.follow()
        self.forest.show_comparisons((), "difference", 0.0, "")
        self._say_found("")
        for table in (self.differs, self.finals):
            table.setRowCount(0)
            table.setColumnCount(0)

    def _show(self, comparison: RunComparison) -> None:
        self.comparison = comparison
        names = _names(comparison)
        self.curves.remove_all()
        self.curves.canvas.y_axis.set_label(comparison.series)
        for number, (record, name) in enumerate(zip(comparison.records, names, strict=True)):
            series = comparison.curves.get(record.id)
            if series is not None and series.values.ndim == 1:
                self.curves.add_curve(record.id, printable(name), number)
                self.curves.append(record.id, series.steps, series.values)
        self.curves.follow()
        _fill(self.differs, names, comparison.differs)
        _fill(self.finals, names, comparison.finals)
        result = comparison.result
        self.message.setText(printable(comparison.problem))
        if result is None:
            self.forest.show_comparisons((), "difference", 0.0, "")
            self._say_found("")
            return
        self.forest.show_comparisons(
            result["comparisons"], self.effect.currentText(), result["margin"], result["measure"]
        )
        lines = [comparison_sentence(one) for one in result["comparisons"][:4]]
        if result["seeds"] < 2:
            lines.append("One run per arm decides nothing; a study trains as many as it takes.")
        self._say_found(printable("\n".join(lines), lines=True))

    def copy_command(self) -> None:
        """Put the command that does the same into the clipboard."""
        parts = ["optlab compare", *self.ticked(), f"--of {self.of.currentText()}"]
        if self.effect.currentText() != "difference":
            parts.append(f"--effect {self.effect.currentText()}")
        QGuiApplication.clipboard().setText(" ".join(parts))
        self.message.setText(f"Copied: {' '.join(parts)}")

    # --- closing ----------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        """Read no more."""
        self.listing.shut_down()
        self.comparing.shut_down()
        self.closed.emit()
        event.accept()


def _names(comparison: RunComparison) -> list[str]:
    """Return short names of runs: what distinguishes them, and the end of the id."""
    differs = [row for row in comparison.differs if row[0] not in ("seed", "dataset.seed")]
    rows = [row for row in differs if row[0].endswith(".name")]
    rows += [row for row in differs if row not in rows]
    return [
        " ".join([*(row[number] for row in rows[:2]), f"…{record.id[-4:]}"])
        for number, record in enumerate(comparison.records, start=1)
    ]


def _table(name: str) -> QTableWidget:
    table = QTableWidget(0, 0)
    table.setAccessibleName(name)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.verticalHeader().hide()
    table.setShowGrid(False)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    return table


def _fill(table: QTableWidget, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table.setRowCount(len(rows))
    table.setColumnCount(len(names) + 1)
    table.setHorizontalHeaderLabels(["", *map(printable, names)])
    for place, row in enumerate(rows):
        for column, value in enumerate(row):
            table.setItem(place, column, QTableWidgetItem(printable(value)))
