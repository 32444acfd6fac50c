"""The runs dialog: stored runs, to show, resume, export or delete."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from optlab.gui.bridge import TaskBridge
from optlab.gui.geometry import resize_to_screen
from optlab.gui.item_models.runs_table_model import RunsTableModel
from optlab.gui.manners import file_dialogs
from optlab.gui.plain_text import PlainLabel
from optlab.gui.questions import may_delete_run
from optlab.store import RunRecord
from optlab.tasks.stored_runs import DeleteRunTask, ExportRunTask, RunList, RunListTask

_MEASURED_ROWS = 100
"""Rows whose contents decide the width of a column."""


class RunsDialog(QDialog):
    """Lists the stored runs.

    The store is read and written in the background. Closing the dialog cancels the reading; a file
    that is being exported is completed.

    Args:
        parent: window above which the dialog opens.
        busy: whether a run is in progress, so that no other can be shown or resumed.

    Signals: ``resumeRequested(str)``: id of a run to resume; ``showRequested(str)``: id of a run
    whose curves to draw; ``testRequested(str)``: id of a run to evaluate on its test part;
    ``openRequested(str)``: a stored experiment as TOML.
    """

    resumeRequested = Signal(str)
    showRequested = Signal(str)
    testRequested = Signal(str)
    openRequested = Signal(str)

    def __init__(self, parent: QWidget | None = None, *, busy: bool = False) -> None:
        super().__init__(parent)
        self.setWindowTitle("Runs")
        resize_to_screen(self, 900, 480)
        self._busy = busy
        self.listing, self.writing = TaskBridge(None, self), TaskBridge(None, self)
        self.model = RunsTableModel()
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAlternatingRowColors(True)
        self.table.setShowGrid(False)
        self.table.setAccessibleName("Stored runs")
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setResizeContentsPrecision(_MEASURED_ROWS)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.message = PlainLabel("")
        self.message.setWordWrap(True)
        self.hidden_runs = PlainLabel("")
        self.hidden_runs.setWordWrap(True)

        self.show_button = self._button("Show curves", "Draw the curves of this run")
        self.open_button = self._button(
            "Open experiment", "Show the experiment of this run in the editor"
        )
        self.resume_button = self._button("Resume", "Resume from the last checkpoint")
        self.test_button = self._button("Test part…", "Evaluate this run on the test part")
        self.export_button = self._button(
            "Export…", "Write the series of this run to a CSV or Parquet file"
        )
        self.delete_button = self._button(
            "Delete…", "Permanently delete this run and its snapshots"
        )
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)

        buttons = QHBoxLayout()
        for button in (
            self.show_button,
            self.open_button,
            self.resume_button,
            self.test_button,
            self.export_button,
            self.delete_button,
        ):
            buttons.addWidget(button)
        buttons.addStretch(1)
        below = QHBoxLayout()  # beside the buttons there is no room for it on a small screen
        below.addWidget(self.message, 1)
        below.addWidget(closing)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.hidden_runs)
        layout.addLayout(buttons)
        layout.addLayout(below)
        self._connect()
        self.hidden_runs.hide()
        self.reload()

    def _connect(self) -> None:
        self.show_button.clicked.connect(self._show)
        self.open_button.clicked.connect(self._open)
        self.resume_button.clicked.connect(self._resume)
        self.test_button.clicked.connect(self._test)
        self.export_button.clicked.connect(self._export)
        self.delete_button.clicked.connect(self._delete)
        self.table.selectionModel().selectionChanged.connect(self._selection_changed)
        self.table.doubleClicked.connect(self._show)
        self.listing.answered.connect(self._show_list)
        self.listing.failed.connect(self._listing_failed)
        self.listing.finished.connect(self._selection_enables)
        self.writing.answered.connect(lambda path: self.message.setText(f"Written to {path}."))
        self.writing.failed.connect(self.message.setText)
        self.writing.finished.connect(self._selection_enables)
        self.finished.connect(lambda _result: self.listing.shut_down())

    def reload(self) -> None:
        """Read the list of runs again."""
        self.listing.ask(RunListTask())
        self._selection_enables()
        self.message.setText("Loading the list of runs…")

    def _show_list(self, runs: RunList) -> None:
        self.model.set_records(runs.records)
        self.message.setText(
            ""
            if runs.records
            else "No run is stored yet. Press Start in the window, or use optlab run."
        )
        self.hidden_runs.setText(runs.hidden)
        self.hidden_runs.setVisible(bool(runs.hidden))
        if runs.records:
            self.table.selectRow(0)
        self._selection_changed()

    def _listing_failed(self, sentence: str) -> None:
        """Show why the list could not be read, or a run not deleted."""
        self._selection_enables()
        self.message.setText(sentence)

    def selected(self) -> RunRecord | None:
        """Return the run in the selected row, or None."""
        rows = self.table.selectionModel().selectedRows()
        return self.model.record(rows[0].row()) if rows else None

    def _selection_changed(self) -> None:
        self._selection_enables()
        record = self.selected()
        if record is not None:
            self.message.setText("  ·  ".join(filter(None, (record.id, record.reason))))

    def _selection_enables(self) -> None:
        """Enable the buttons that apply to the selected run."""
        record = self.selected()
        self.export_button.setEnabled(record is not None and not self.writing.active)
        self.test_button.setEnabled(record is not None and not record.going)
        self.show_button.setEnabled(record is not None and not self._busy)
        self.open_button.setEnabled(record is not None and not self._busy)
        self.resume_button.setEnabled(record is not None and record.resumable and not self._busy)
        self.delete_button.setEnabled(
            record is not None and not record.going and not self.listing.active
        )

    def _show(self) -> None:
        record = self.selected()
        if record is not None and self.show_button.isEnabled():
            self.showRequested.emit(record.id)
            self.accept()

    def _open(self) -> None:
        record = self.selected()
        if record is not None:
            self.openRequested.emit(record.experiment)
            self.accept()

    def _resume(self) -> None:
        record = self.selected()
        if record is not None:
            self.resumeRequested.emit(record.id)
            self.accept()

    def _test(self) -> None:
        record = self.selected()
        if record is not None:
            self.testRequested.emit(record.id)

    def _export(self) -> None:
        record = self.selected()
        if record is None:
            return
        kinds = {"CSV table (*.csv)": "csv", "Parquet table (*.parquet)": "parquet"}
        name, kind = file_dialogs.save_file(
            self, "Export run", f"{record.id}.csv", ";;".join(kinds)
        )
        if not name:
            return
        ending = Path(name).suffix.removeprefix(".")
        self.writing.ask(
            ExportRunTask(
                record.id, ending if ending in kinds.values() else kinds[kind], Path(name)
            )
        )
        self._selection_enables()
        self.message.setText(f"Writing {name}…")

    def _delete(self) -> None:
        record = self.selected()
        if record is None:
            return
        if may_delete_run(self, record):
            self.listing.ask(DeleteRunTask(record.id))
            self._selection_enables()
            self.message.setText(f"Deleting {record.id}…")

    def _button(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setAutoDefault(False)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button
