"""The demonstrations window: choose a statement of the notes, run it, and export its results."""

from __future__ import annotations

import csv
import io
from html import escape
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStackedWidget,
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
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.item_models.result_table_model import ResultTableModel
from optlab.gui.manners import file_dialogs
from optlab.gui.panels.tile import Tile
from optlab.gui.plain_text import PlainLabel, wrapped_label
from optlab.gui.plots.result_plot import ResultPlot
from optlab.gui.plots.subject import set_subject
from optlab.studies import demonstrations
from optlab.studies.demonstrations.base import DemonstrationResult, Table
from optlab.tasks.demonstrations import DemonstrationTask

_NAME = Qt.ItemDataRole.UserRole + 1


class DemonstrationWindow(QMainWindow):
    """The demonstrations window.

    Signals: ``closed()``: the user closed the window.
    """

    closed = Signal()

    def __init__(self, prewarmer: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Demonstrations – OptLab")
        resize_to_screen(self, 1360, 860)
        self.tasks = TaskBridge(prewarmer.pool, self)
        self.list = QListWidget()
        self.sentence, self.note, self.source, self.status_label = (
            PlainLabel(""),
            PlainLabel(""),
            PlainLabel(""),
            PlainLabel("Choose a demonstration and press Run."),
        )
        self.formula = FormulaView()
        self.form: FieldsForm | None = None
        self.model = ResultTableModel()
        self.table = QTableView()
        self.tabs = QTabWidget()
        # In place of the tabs while there are none.
        self._result, self._hint = QStackedWidget(), wrapped_label("muted")
        self._hint.setText("Run computes this demonstration; what it finds is drawn here.")
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
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

    # --- building -------------------------------------------------------------

    def _build(self) -> None:
        self.list.setAccessibleName("Demonstrations")
        for demonstration in demonstrations.demonstrations():
            item = QListWidgetItem(
                f"{demonstration.label}  ({demonstration.row})"
                if demonstration.row
                else demonstration.label
            )
            item.setData(_NAME, demonstration.name)
            item.setToolTip(page(demonstration).sentence)
            self.list.addItem(item)
        self.sentence.setTextFormat(Qt.TextFormat.RichText)
        for label in (self.sentence, self.note, self.source, self.status_label):
            label.setWordWrap(True)
        for label in (self.note, self.source):
            label.setProperty("role", "muted")
        self.status_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
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
        page_left = QWidget()
        page_left.setMinimumWidth(380)
        around = QVBoxLayout(page_left)
        around.setContentsMargins(8, 8, 0, 8)
        around.addWidget(left)

        self.table.setModel(self.model)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setAlternatingRowColors(True)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.setAccessibleName("Results")
        self.tabs.setDocumentMode(True)
        right = QSplitter(Qt.Orientation.Vertical)
        right.setChildrenCollapsible(False)
        self._result.addWidget(Tile("Result", self._hint))
        self._result.addWidget(self.tabs)
        right.addWidget(self._result)
        right.addWidget(Tile("Table", self.table))
        right.setSizes([560, 260])
        self.run_button.setObjectName("primary")
        self.run_button.setShortcut("Ctrl+Return")
        self.run_button.setToolTip("Run this demonstration (Ctrl+Return)")
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
        layout.addWidget(self.status_label)
        layout.addLayout(buttons)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(page_left)
        split.addWidget(page_right)
        split.setStretchFactor(1, 1)
        split.setSizes([400, 960])
        self.setCentralWidget(scrollable(split))

    def _connect(self) -> None:
        self.list.currentItemChanged.connect(lambda now, _before: self._select(now))
        self.list.itemDoubleClicked.connect(lambda _item: self.run())
        self.run_button.clicked.connect(self.run)
        self.stop_button.clicked.connect(self._stop)
        self.copy_button.clicked.connect(self._copy)
        self.export_button.clicked.connect(self._choose_file)
        self.tasks.answered.connect(self._show_result)
        self.tasks.failed.connect(lambda message: self._show_status(message, problem=True))
        self.tasks.finished.connect(lambda: self._set_busy(False))
        theme.notifier().themeChanged.connect(self.apply_theme)

    def apply_theme(self) -> None:
        """Apply the colors of the theme to widgets that do not use the palette."""
        for plot in self.plots:
            plot.set_colors(theme.current().plots)

    # --- choosing and running --------------------------------------------------

    def chosen(self) -> str:
        """Return the name of the selected demonstration."""
        name: str = self.list.currentItem().data(_NAME)
        return name

    def choose(self, name: str) -> None:
        """Select a demonstration by name."""
        for row in range(self.list.count()):
            if self.list.item(row).data(_NAME) == name:
                self.list.setCurrentRow(row)

    def run(self) -> None:
        """Run the selected demonstration with the values of its form."""
        if self.form is None or self.form.errors():
            return
        self._clear()
        self._set_busy(True)
        self._show_status("Running…")
        self.tasks.ask(DemonstrationTask(self.chosen(), self.form.values()))

    def _select(self, item: QListWidgetItem | None) -> None:
        if item is None:
            return
        demonstration = demonstrations.get(item.data(_NAME))
        about = page(demonstration)
        set_subject(self, demonstration.label)
        self.setWindowTitle(f"{demonstration.label} – Demonstrations – OptLab")
        self.sentence.setText(
            f"<b>{escape(about.sentence)}</b> {escape(' '.join(about.explanation))}"
        )
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
        if self.tasks.active:
            self._stop()
        self._clear()
        self._show_status("Press Run.")

    def _stop(self) -> None:
        self.tasks.give_up()

    def _clear(self) -> None:
        self.model.set_table(None)
        self.progress.setValue(0)
        while self.tabs.count():
            self.tabs.removeTab(0)
        for plot in self.plots:
            plot.deleteLater()
        self.plots = []
        self._result.setCurrentIndex(0)

    def _set_busy(self, busy: bool) -> None:
        self.stop_button.setEnabled(busy)
        for button in (self.copy_button, self.export_button):
            button.setEnabled(not busy and self.model.rowCount() > 0)

    # --- results -------------------------------------------------------

    def _show_result(self, result: DemonstrationResult) -> None:
        while len(self.plots) < len(result.plots):
            widget = ResultPlot()
            widget.set_colors(theme.current().plots)
            self.plots.append(widget)
            self.tabs.addTab(widget, "")
            self._result.setCurrentWidget(self.tabs)
        for index, (widget, plot) in enumerate(zip(self.plots, result.plots, strict=False)):
            self.tabs.setTabText(index, plot.title)
            widget.show_plot(plot)
        self.model.set_table(result.table)
        self.table.resizeColumnsToContents()
        self.progress.setValue(round(1000 * result.done))
        self._show_status(result.sentence)

    def _show_status(self, text: str, *, problem: bool = False) -> None:
        self.status_label.setText(text)
        self.status_label.setProperty("problem", problem)
        self.status_label.style().unpolish(self.status_label)
        self.status_label.style().polish(self.status_label)

    # --- export ------------------------------------------------------

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(table_text(self.model.table, "\t"))

    def _choose_file(self) -> None:
        name, _ = file_dialogs.save_file(
            self, "Export table", f"{self.chosen()}.csv", "CSV (*.csv);;All files (*)"
        )
        if name:
            self.export(Path(name))

    def export(self, path: Path) -> None:
        """Write the table as a CSV file."""
        try:
            write_atomically(path, table_text(self.model.table, ",").encode())
        except OptLabError as error:
            self._show_status(str(error), problem=True)

    # --- closing --------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        self.tasks.shut_down()
        self.closed.emit()
        event.accept()


def table_text(table: Table, delimiter: str) -> str:
    """Return a table as lines, with numbers in full precision."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow([column.heading for column in table.columns])
    writer.writerows([["" if cell is None else cell for cell in row] for row in table.rows])
    return out.getvalue()
