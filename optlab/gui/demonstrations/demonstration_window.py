"""The window of the benches: pick a statement of the notes, set its numbers, run it, look at plots
and table, and export them.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from optlab.core.errors import OptLabError
from optlab.core.files import write_atomically
from optlab.experiment.pages import page
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.forms.formula import FormulaView
from optlab.gui.item_models.result_table_model import ResultTableModel
from optlab.gui.panels.tile import Tile
from optlab.gui.plots.result_plot import ResultPlot
from optlab.studies import demonstrations
from optlab.studies.demonstrations.base import DemonstrationResult, Table
from optlab.tasks.demonstrations import DemonstrationTask

_NAME = Qt.ItemDataRole.UserRole + 1


class DemonstrationWindow(QMainWindow):
    """All benches. ``closed``: it was closed by the user."""

    closed = Signal()

    def __init__(self, warmth: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Benches – OptLab")
        self.resize(1360, 860)
        self.questions = TaskBridge(warmth.pool, self)
        self.list = QListWidget()
        self.sentence, self.note, self.source, self.words = (
            QLabel(""),
            QLabel(""),
            QLabel(""),
            QLabel("Pick a bench and press Run."),
        )
        self.formula = FormulaView()
        self.form: FieldsForm | None = None
        self.model = ResultTableModel()
        self.table = QTableView()
        self.tabs = QTabWidget()
        self.plots: list[ResultPlot] = []
        self.progress = QProgressBar()
        self.run_button, self.stop_button = QPushButton("Run"), QPushButton("Stop")
        self.copy_button, self.export_button = (
            QPushButton("Copy table"),
            QPushButton("Export table…"),
        )
        self._build()
        self._connect()
        self.list.setCurrentRow(0)

    # --- building -----------------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.list.setAccessibleName("Benches")
        for demonstration in demonstrations.demonstrations():
            item = QListWidgetItem(
                f"{demonstration.label}  ({demonstration.row})"
                if demonstration.row
                else demonstration.label
            )
            item.setData(_NAME, demonstration.name)
            item.setToolTip(page(demonstration).sentence)
            self.list.addItem(item)
        for label in (self.sentence, self.note, self.source, self.words):
            label.setWordWrap(True)
        for label in (self.note, self.source):
            label.setProperty("role", "muted")
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QWidget()
        column.setObjectName("experimentColumn")
        self._about = QVBoxLayout(column)
        self._about.setContentsMargins(10, 6, 10, 6)
        self._about.setSpacing(8)
        for widget in (self.sentence, self.note, self.formula):
            self._about.addWidget(widget)
        self._about.addWidget(self.source)
        self._about.addStretch(1)
        scroll = QScrollArea()
        scroll.setObjectName("experimentScroll")
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(column)
        left = QSplitter(Qt.Orientation.Vertical)
        left.setChildrenCollapsible(False)
        left.addWidget(self.list)
        left.addWidget(scroll)
        left.setSizes([290, 530])
        left.setMinimumWidth(380)

        self.table.setModel(self.model)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setAlternatingRowColors(True)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.setAccessibleName("What was found")
        self.tabs.setDocumentMode(True)
        right = QSplitter(Qt.Orientation.Vertical)
        right.setChildrenCollapsible(False)
        right.addWidget(self.tabs)
        right.addWidget(Tile("Table", self.table))
        right.setSizes([560, 260])
        self.run_button.setObjectName("primary")
        self.run_button.setShortcut("Ctrl+Return")
        self.run_button.setToolTip("Run this bench (Ctrl+Return)")
        self.stop_button.setEnabled(False)
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button)
        buttons.addWidget(self.stop_button)
        buttons.addWidget(self.progress, 1)
        buttons.addWidget(self.copy_button)
        buttons.addWidget(self.export_button)
        page_right = QWidget()
        layout = QVBoxLayout(page_right)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(right, 1)
        layout.addWidget(self.words)
        layout.addLayout(buttons)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(left)
        split.addWidget(page_right)
        split.setStretchFactor(1, 1)
        split.setSizes([400, 960])
        self.setCentralWidget(split)

    def _connect(self) -> None:
        self.list.currentItemChanged.connect(lambda now, _before: self._picked(now))
        self.list.itemDoubleClicked.connect(lambda _item: self.run())
        self.run_button.clicked.connect(self.run)
        self.stop_button.clicked.connect(self._stop)
        self.copy_button.clicked.connect(self._copy)
        self.export_button.clicked.connect(self._choose_file)
        self.questions.answered.connect(self._take)
        self.questions.failed.connect(lambda sentence: self._say(sentence, problem=True))
        self.questions.finished.connect(lambda: self._set_busy(False))
        theme.notifier().themeChanged.connect(self.apply_theme)

    def apply_theme(self) -> None:
        """Follow the theme in what does not follow the palette by itself."""
        for plot in self.plots:
            plot.set_colors(theme.current().plots)

    # --- picking and running ----------------------------------------------------------------------------------------------------------

    def chosen(self) -> str:
        """Name of the bench that is picked."""
        name: str = self.list.currentItem().data(_NAME)
        return name

    def choose(self, name: str) -> None:
        """Pick a bench."""
        for row in range(self.list.count()):
            if self.list.item(row).data(_NAME) == name:
                self.list.setCurrentRow(row)

    def run(self) -> None:
        """Run the bench that is picked, with the numbers of its form."""
        if self.form is None or self.form.errors():
            return
        self._clear()
        self._set_busy(True)
        self._say("Running…")
        self.questions.ask(DemonstrationTask(self.chosen(), self.form.values()))

    def _picked(self, item: QListWidgetItem | None) -> None:
        if item is None:
            return
        demonstration = demonstrations.get(item.data(_NAME))
        about = page(demonstration)
        self.sentence.setText(f"<b>{about.sentence}</b> {' '.join(about.explanation)}")
        self.note.setText(demonstration.note)
        self.note.setVisible(bool(demonstration.note))
        self.source.setText(about.source)
        self.formula.set_lines(demonstration.rule)
        if self.form is not None:
            self._about.removeWidget(self.form)
            self.form.hide()
            self.form.deleteLater()
        self.form = FieldsForm(demonstration, demonstration.name)
        self.form.fieldEdited.connect(
            lambda _name: self.run_button.setEnabled(
                self.form is not None and not self.form.errors()
            )
        )
        self._about.insertWidget(3, self.form)
        if self.questions.active:
            self._stop()
        self._clear()
        self._say("Press Run.")

    def _stop(self) -> None:
        self.questions.give_up()

    def _clear(self) -> None:
        self.model.set_table(None)
        self.progress.setValue(0)
        while self.tabs.count():
            self.tabs.removeTab(0)
        for plot in self.plots:
            plot.deleteLater()
        self.plots = []

    def _set_busy(self, busy: bool) -> None:
        self.stop_button.setEnabled(busy)
        for button in (self.copy_button, self.export_button):
            button.setEnabled(not busy and self.model.rowCount() > 0)

    # --- what was found -------------------------------------------------------------------------------------------------------------

    def _take(self, found: DemonstrationResult) -> None:
        while len(self.plots) < len(found.plots):
            plot = ResultPlot()
            plot.set_colors(theme.current().plots)
            self.plots.append(plot)
            self.tabs.addTab(plot, "")
        for number, (plot, what) in enumerate(zip(self.plots, found.plots, strict=False)):
            self.tabs.setTabText(number, what.title)
            plot.show_plot(what)
        self.model.set_table(found.table)
        self.table.resizeColumnsToContents()
        self.progress.setValue(round(1000 * found.done))
        self._say(found.sentence)

    def _say(self, sentence: str, *, problem: bool = False) -> None:
        self.words.setText(sentence)
        self.words.setProperty("problem", problem)
        self.words.style().unpolish(self.words)
        self.words.style().polish(self.words)

    # --- taking it along ------------------------------------------------------------------------------------------------------------

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(text(self.model.table, "\t"))

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Export table", f"{self.chosen()}.csv", "CSV (*.csv);;All files (*)"
        )
        if name:
            self.export(Path(name))

    def export(self, path: Path) -> None:
        """Write the table as a CSV file."""
        try:
            write_atomically(path, text(self.model.table, ",").encode())
        except OptLabError as error:
            self._say(str(error), problem=True)

    # --- the end --------------------------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        self.questions.shut_down()
        self.closed.emit()
        event.accept()


def text(table: Table, delimiter: str) -> str:
    """A table as lines, numbers in full."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow([column.heading for column in table.columns])
    writer.writerows([["" if cell is None else cell for cell in row] for row in table.rows])
    return out.getvalue()
