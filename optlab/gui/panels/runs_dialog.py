"""The runs dialog: stored runs, to show, resume, export or delete."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from optlab.core.errors import OptLabError
from optlab.core.printable import printable
from optlab.gui.geometry import resize_to_screen
from optlab.gui.item_models.runs_table_model import RunsTableModel
from optlab.store import RunRecord, Store
from optlab.store.export import export


class RunsDialog(QDialog):
    """Lists the stored runs.

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
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.message = QLabel("")
        self.message.setWordWrap(True)
        self.hidden_runs = QLabel("")
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
        self.show_button.clicked.connect(self._show)
        self.open_button.clicked.connect(self._open)
        self.resume_button.clicked.connect(self._resume)
        self.test_button.clicked.connect(self._test)
        self.export_button.clicked.connect(self._export)
        self.delete_button.clicked.connect(self._delete)
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
        self.table.selectionModel().selectionChanged.connect(self._selection_changed)
        self.table.doubleClicked.connect(self._show)
        self.reload()

    def reload(self) -> None:
        """Read the list of runs again."""
        hidden = ""
        try:
            with Store.open() as store:
                self.model.set_records(store.runs())
                hidden = store.hidden
            self.message.setText(
                ""
                if self.model.rowCount()
                else "No run is stored yet. Press Start in the window, or use optlab run."
            )
        except OptLabError as error:
            self.model.set_records([])
            self.message.setText(str(error))
        self.hidden_runs.setText(hidden)
        self.hidden_runs.setVisible(bool(hidden))
        if self.model.rowCount():
            self.table.selectRow(0)
        self._selection_changed()

    def selected(self) -> RunRecord | None:
        """Return the run in the selected row, or None."""
        rows = self.table.selectionModel().selectedRows()
        return self.model.record(rows[0].row()) if rows else None

    def _selection_changed(self) -> None:
        record = self.selected()
        self.export_button.setEnabled(record is not None)
        self.test_button.setEnabled(record is not None and not record.going)
        self.show_button.setEnabled(record is not None and not self._busy)
        self.open_button.setEnabled(record is not None and not self._busy)
        self.resume_button.setEnabled(record is not None and record.resumable and not self._busy)
        self.delete_button.setEnabled(record is not None and not record.going)
        if record is not None:
            self.message.setText("  ·  ".join(filter(None, (record.id, record.reason))))

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
        name, kind = QFileDialog.getSaveFileName(
            self, "Export run", f"{record.id}.csv", ";;".join(kinds)
        )
        if not name:
            return
        ending = Path(name).suffix.removeprefix(".")
        try:
            with Store.open() as store:
                export(
                    store,
                    record.id,
                    ending if ending in kinds.values() else kinds[kind],
                    Path(name),
                    force=True,
                )
            self.message.setText(f"Written to {name}.")
        except OptLabError as error:
            self.message.setText(str(error))

    def _delete(self) -> None:
        record = self.selected()
        if record is None:
            return
        answer = QMessageBox.question(
            self,
            "Delete run",
            f"Delete “{printable(record.title)}” ({record.steps:,} steps) with its curves and snapshots?",
        )
        if answer == QMessageBox.StandardButton.Yes:
            try:
                with Store.open() as store:
                    store.delete(record.id)
            except OptLabError as error:
                self.message.setText(str(error))
                return
            self.reload()

    def _button(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setAutoDefault(False)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button
