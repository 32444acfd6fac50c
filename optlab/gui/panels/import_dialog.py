"""The import dialog: how a data file is read, what its columns are for, and what becomes of them."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from optlab.core import registry
from optlab.core.printable import printable
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.geometry import resize_to_screen
from optlab.gui.manners import file_dialogs
from optlab.gui.panels.columns_table import TARGET, ColumnsTable
from optlab.gui.panels.data_preview import describe
from optlab.gui.plain_text import PlainLabel
from optlab.outside.datafiles.preview import COLUMNS, COMPONENTS, Kind, Preview
from optlab.outside.datafiles.table_report import TableReport
from optlab.tasks.own_files import ImportTask, ReadingShare
from optlab.tasks.preview import DatasetPreview

FILE_KINDS = "Data (*.csv *.tsv *.txt *.npz *ubyte* *.gz);;All files (*)"
_PATHS = ("path", "images")
"""Fields that hold the path of the file: it is entered above the form."""
_WRITING = frozenset({"delimiter", "decimal", "header", "quote", "encoding"})
"""Fields for how a table is written: what is suggested for its columns depends on them."""
_ROLES = ("target", "columns", "ignore")
_KINDS: dict[Kind, str] = {
    "csv": "Text table",
    "npz": "NumPy arrays",
    "idx": "IDX files, the format of MNIST",
}


class ImportDialog(QDialog):
    """Asks how to read a data file.

    Signals: ``useRequested(object)``: the dataset section to use in the experiment.
    """

    useRequested = Signal(object)

    def __init__(self, prewarmer: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import data")
        resize_to_screen(self, 1080, 680)
        self._read: Preview | None = None
        self._form: FieldsForm | None = None
        self._complete = self._stopped = False
        self._suggest = True
        self.tasks = TaskBridge(prewarmer.pool, self)
        self.path = QLineEdit()
        self.path.setPlaceholderText("A CSV, NPZ or IDX file, or a folder of IDX files")
        self.path.setAccessibleName("File")
        file_button, folder_button = QPushButton("File…"), QPushButton("Folder…")
        self.kind = PlainLabel("")
        self.kind.setProperty("role", "muted")
        self.table = QTableWidget()
        self.table.setAccessibleName("First rows")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setToolTip("Click a column's heading to make it the target")
        self.columns = ColumnsTable()
        self.encoded = QTableWidget()
        self.encoded.setAccessibleName("First training examples as the model receives them")
        self.encoded.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.encoded.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.columns, "Columns")
        self.tabs.addTab(self.table, "First rows")
        self.tabs.addTab(self.encoded, "As the model receives them")
        self._show_tabs(table=False)
        self.message = PlainLabel(
            "Select a file. The dialog shows how it is read; nothing in it is executed."
        )
        self.message.setWordWrap(True)
        self._holder = QScrollArea()
        self._holder.setObjectName("experimentScroll")
        self._holder.setWidgetResizable(True)
        self._holder.setMinimumWidth(360)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.use_button = QPushButton("Use in the experiment")
        self.use_button.setObjectName("primary")
        self.use_button.setEnabled(False)
        buttons.addButton(self.use_button, QDialogButtonBox.ButtonRole.AcceptRole)
        self.stop_button = QPushButton("Stop reading")
        self.stop_button.hide()
        buttons.addButton(self.stop_button, QDialogButtonBox.ButtonRole.ActionRole)
        head = QHBoxLayout()
        for widget in (self.path, file_button, folder_button):
            head.addWidget(widget)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(self._holder)
        split.addWidget(self.tabs)
        split.setSizes([380, 700])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addLayout(head)
        layout.addWidget(self.kind)
        layout.addWidget(split, 1)
        layout.addWidget(self.message)
        layout.addWidget(buttons)

        self._typing_timer = QTimer(self)
        self._typing_timer.setSingleShot(True)
        self._typing_timer.setInterval(250)
        self._typing_timer.timeout.connect(self._read_file)
        file_button.clicked.connect(self._choose_file)
        folder_button.clicked.connect(self._choose_folder)
        self.path.textEdited.connect(lambda _text: self._path_changed())
        self.table.horizontalHeader().setSectionsClickable(True)
        self.table.horizontalHeader().sectionClicked.connect(self._column_clicked)
        buttons.rejected.connect(self.reject)
        self.use_button.clicked.connect(self._use)
        self.tasks.answered.connect(self._show_result)
        self.tasks.failed.connect(self._say_problem)
        self.tasks.finished.connect(self._reading_ended)
        self.stop_button.clicked.connect(self._stop_reading)
        self.columns.rolesChosen.connect(self._choose_roles)
        self.finished.connect(lambda _result: self._typing_timer.stop())
        self.finished.connect(lambda _result: self.tasks.shut_down())

    def open_path(self, path: str) -> None:
        """Read a file and show its first rows."""
        self.path.setText(path)
        self._path_changed()

    # --- reading ----------------------------------------------------------------------------------

    def _choose_file(self) -> None:
        name = file_dialogs.open_file(self, "Import data", FILE_KINDS, self.path.text())
        if name:
            self.open_path(name)

    def _choose_folder(self) -> None:
        name = file_dialogs.existing_folder(self, "A folder of IDX files", self.path.text())
        if name:
            self.open_path(name)

    def _path_changed(self) -> None:
        """Discard the settings and rows of the file before."""
        self._form = None
        self._suggest = True
        self._holder.takeWidget()
        for table in (self.table, self.encoded):
            table.clear()
            table.setRowCount(0)
            table.setColumnCount(0)
        self.columns.setRowCount(0)
        self.kind.setText("")
        self._read_later()

    def _field_edited(self, name: str) -> None:
        self._suggest = self._suggest or name in _WRITING
        self._read_later()

    def _read_later(self) -> None:
        self.use_button.setEnabled(False)
        self._complete = False
        self._typing_timer.start()

    def _read_file(self) -> None:
        path = self.path.text().strip()
        if not path or (self._form is not None and self._form.errors()):
            return
        self._say("Reading…", problem=False)
        self._stopped = False
        self.tasks.give_up()
        self.tasks.ask(ImportTask(path, self._choices(), self._suggest))
        self.stop_button.show()

    def _stop_reading(self) -> None:
        # What is computed after the reading ends with a result that nobody wants any more.
        self._stopped = True
        self.tasks.give_up()
        self.stop_button.hide()
        self._say("Reading was stopped. Change something to read the file again.", problem=False)

    def _reading_ended(self) -> None:
        self.stop_button.hide()

    def _choices(self) -> dict[str, Any]:
        if self._form is None:
            return {}
        left_out = (*_PATHS, *_ROLES) if self._suggest else _PATHS
        return {name: value for name, value in self._form.values().items() if name not in left_out}

    # --- results ----------------------------------------------------------------------------------

    def _show_result(self, result: Preview | ReadingShare | TableReport | DatasetPreview) -> None:
        if self._stopped:
            return
        if isinstance(result, ReadingShare):
            said = f"Reading… {result.done:.0%}" if result.done < 1.0 else "Encoding the columns…"
            self._say(said, problem=False)
        elif isinstance(result, TableReport):
            self.columns.show_report(result.columns)
            self._show_encoded(result)
        elif isinstance(result, DatasetPreview):
            self._complete = True
            notes = self._read.notes if self._read is not None else ()
            self._say("\n".join([describe(result), *notes]), problem=False)
            self.use_button.setEnabled(True)
        else:
            self._show_preview(result)

    def _show_preview(self, result: Preview) -> None:
        self._read = result
        if result.problem and self._form is None and not result.choices:
            self._say_problem(result.problem)
            return
        self._show_form(result)
        if result.problem:
            self._say_problem(result.problem)
        else:
            self._fill(result)

    def _show_tabs(self, *, table: bool) -> None:
        """Show the pages of a table, that of its columns first, or that of rows alone."""
        first = table and not self.tabs.isTabVisible(self.tabs.indexOf(self.columns))
        for page in (self.columns, self.encoded):
            self.tabs.setTabVisible(self.tabs.indexOf(page), table)
        if first:
            self.tabs.setCurrentWidget(self.columns)

    def _show_encoded(self, report: TableReport) -> None:
        names = [*report.names[:COLUMNS], TARGET]
        self.encoded.setColumnCount(len(names))
        self.encoded.setRowCount(len(report.rows))
        self.encoded.setHorizontalHeaderLabels([printable(name) for name in names])
        for row, (values, target) in enumerate(zip(report.rows, report.targets, strict=True)):
            texts = [*(f"{value:.4g}" for value in values[:COLUMNS]), printable(target)]
            for column, text in enumerate(texts):
                self.encoded.setItem(row, column, QTableWidgetItem(text))
        self.encoded.resizeColumnsToContents()

    def _show_form(self, file: Preview) -> None:
        columns = f", {file.width:,} columns" if file.width else ""
        examples = f", {file.count:,} examples" if file.count else ""
        self.kind.setText(f"{_KINDS[file.kind]}{columns}{examples}")
        if self._form is not None:
            if self._suggest and not file.problem:
                values = self._form.values()
                chosen = {
                    name: file.choices.get(name, values[name]) for name in _ROLES if name in values
                }
                self._form.set_values({**values, **chosen})
                self._suggest = False
            return
        form = FieldsForm(registry.get("dataset", COMPONENTS[file.kind]), "dataset")
        form.set_values({**form.values(), **file.choices})
        for name in _PATHS:
            if name in form.editors:
                form.editors[name].setEnabled(False)
        form.fieldEdited.connect(self._field_edited)
        self._form = form
        self._suggest = bool(file.problem)
        self._holder.setWidget(form)

    def _fill(self, file: Preview) -> None:
        self._show_tabs(table=file.kind == "csv")
        if file.kind == "csv" and self._form is not None:
            self.columns.show_file(file, self._form.values())
        self.table.setColumnCount(len(file.columns))
        self.table.setRowCount(len(file.rows))
        ground = self.palette().color(QPalette.ColorRole.Highlight)
        tint = QColor(ground)
        tint.setAlphaF(0.18)
        for number, column in enumerate(file.columns):
            target = column.name == file.target
            heading = QTableWidgetItem(
                f"{printable(column.name)}\n{'target' if target else column.kind}"
            )
            font = heading.font()
            font.setBold(target)
            heading.setFont(font)
            self.table.setHorizontalHeaderItem(number, heading)
            for row, cells in enumerate(file.rows):
                item = QTableWidgetItem(printable(cells[number]) if number < len(cells) else "")
                if target:
                    item.setBackground(tint)
                self.table.setItem(row, number, item)
        self.table.resizeColumnsToContents()

    def _column_clicked(self, number: int) -> None:
        file, form = self._read, self._form
        if file is None or form is None or "target" not in form.editors:
            return
        self.columns.choose(number, TARGET)

    def _choose_roles(self, fields: dict[str, Any]) -> None:
        if self._form is not None:
            self._form.set_values({**self._form.values(), **fields})
            self._read_later()

    def _say_problem(self, sentence: str) -> None:
        self._say(sentence, problem=True)

    def _say(self, sentence: str, *, problem: bool) -> None:
        self.message.setText(printable(sentence, lines=True))
        self.message.setProperty("problem", problem)
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)

    def _use(self) -> None:
        if self._read is not None and self._form is not None and self._complete:
            self.useRequested.emit(self._read.section())
            self.accept()
