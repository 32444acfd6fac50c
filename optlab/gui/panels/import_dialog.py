"""Importing a data file: its first rows, how it is read, and which column is the target, before
anything is trained on it.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from optlab.core import registry
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.panels.data_preview import describe
from optlab.outside.datafiles.preview import COMPONENTS, Kind, Preview
from optlab.tasks.own_files import ImportTask
from optlab.tasks.preview import DatasetPreview

FILE_KINDS = "Data (*.csv *.tsv *.txt *.npz *ubyte* *.gz);;All files (*)"
_PATHS = ("path", "images")
"""Fields that hold the file's own path: chosen above the form."""
_KINDS: dict[Kind, str] = {
    "csv": "A table of texts",
    "npz": "NumPy arrays",
    "idx": "IDX files, as MNIST ships",
}


class ImportDialog(QDialog):
    """Asks how a file is to be read.

    Signals: ``useRequested(object)``: the dataset section that is to be put into the experiment.
    """

    useRequested = Signal(object)

    def __init__(self, prewarmer: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import data")
        self.resize(1080, 680)
        self._seen: Preview | None = None
        self._form: FieldsForm | None = None
        self._whole = False
        self.questions = TaskBridge(prewarmer.pool, self)
        self.path = QLineEdit()
        self.path.setPlaceholderText("A CSV, NPZ or IDX file, or a folder of IDX files")
        self.path.setAccessibleName("File")
        file_button, folder_button = QPushButton("File…"), QPushButton("Folder…")
        self.kind = QLabel("")
        self.kind.setProperty("role", "muted")
        self.table = QTableWidget()
        self.table.setAccessibleName("First rows")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setToolTip("Click a column's heading to make it the target")
        self.words = QLabel("Choose a file: nothing is guessed silently, and nothing is executed.")
        self.words.setWordWrap(True)
        self._holder = QScrollArea()
        self._holder.setObjectName("experimentScroll")
        self._holder.setWidgetResizable(True)
        self._holder.setMinimumWidth(360)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.use_button = QPushButton("Use in the experiment")
        self.use_button.setObjectName("primary")
        self.use_button.setEnabled(False)
        buttons.addButton(self.use_button, QDialogButtonBox.ButtonRole.AcceptRole)
        head = QHBoxLayout()
        for widget in (self.path, file_button, folder_button):
            head.addWidget(widget)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(self._holder)
        split.addWidget(self.table)
        split.setSizes([380, 700])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addLayout(head)
        layout.addWidget(self.kind)
        layout.addWidget(split, 1)
        layout.addWidget(self.words)
        layout.addWidget(buttons)

        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(250)
        self._settling.timeout.connect(self._ask)
        file_button.clicked.connect(self._choose_file)
        folder_button.clicked.connect(self._choose_folder)
        self.path.textEdited.connect(lambda _text: self._path_changed())
        self.table.horizontalHeader().setSectionsClickable(True)
        self.table.horizontalHeader().sectionClicked.connect(self._column_clicked)
        buttons.rejected.connect(self.reject)
        self.use_button.clicked.connect(self._use)
        self.questions.answered.connect(self._take)
        self.questions.failed.connect(self._say_problem)
        self.finished.connect(lambda _result: self.questions.shut_down())

    def open_path(self, path: str) -> None:
        """Show a file."""
        self.path.setText(path)
        self._path_changed()

    # --- asking -------------------------------------------------------------------------------------------------------------------

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Import data", self.path.text(), FILE_KINDS)
        if name:
            self.open_path(name)

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "A folder of IDX files", self.path.text())
        if name:
            self.open_path(name)

    def _path_changed(self) -> None:
        """Another file: what was chosen for the last one does not suit it."""
        self._form = None
        self._holder.takeWidget()
        self.table.clear()
        self.table.setRowCount(0)
        self.table.setColumnCount(0)
        self.kind.setText("")
        self._wait()

    def _wait(self) -> None:
        self.use_button.setEnabled(False)
        self._whole = False
        self._settling.start()

    def _ask(self) -> None:
        path = self.path.text().strip()
        if not path or (self._form is not None and self._form.errors()):
            return
        self._say("Reading…", problem=False)
        self.questions.ask(ImportTask(path, self._choices()))

    def _choices(self) -> dict[str, Any]:
        if self._form is None:
            return {}
        return {name: value for name, value in self._form.values().items() if name not in _PATHS}

    # --- answers ------------------------------------------------------------------------------------------------------------------

    def _take(self, answer: Preview | DatasetPreview) -> None:
        if isinstance(answer, DatasetPreview):
            self._whole = True
            self._say(describe(answer), problem=False)
            self.use_button.setEnabled(True)
            return
        self._seen = answer
        if answer.problem and self._form is None and not answer.choices:
            self._say_problem(answer.problem)
            return
        self._show_form(answer)
        if answer.problem:
            self._say_problem(answer.problem)
        else:
            self._fill(answer)

    def _show_form(self, seen: Preview) -> None:
        self.kind.setText(
            f"{_KINDS[seen.kind]}{f', {seen.width:,} columns' if seen.width else ''}{f', {seen.count:,} examples' if seen.count else ''}"
        )
        if self._form is not None:
            return
        form = FieldsForm(registry.get("dataset", COMPONENTS[seen.kind]), "dataset")
        form.set_values({**form.values(), **seen.choices})
        for name in _PATHS:
            if name in form.editors:
                form.editors[name].setEnabled(False)
        form.fieldEdited.connect(lambda _name: self._wait())
        self._form = form
        self._holder.setWidget(form)

    def _fill(self, seen: Preview) -> None:
        self.table.setColumnCount(len(seen.columns))
        self.table.setRowCount(len(seen.rows))
        ground = self.palette().color(QPalette.ColorRole.Highlight)
        tint = QColor(ground)
        tint.setAlphaF(0.18)
        for place, column in enumerate(seen.columns):
            target = column.name == seen.target
            heading = QTableWidgetItem(f"{column.name}\n{'target' if target else column.kind}")
            font = heading.font()
            font.setBold(target)
            heading.setFont(font)
            self.table.setHorizontalHeaderItem(place, heading)
            for row, cells in enumerate(seen.rows):
                item = QTableWidgetItem(cells[place] if place < len(cells) else "")
                if target:
                    item.setBackground(tint)
                self.table.setItem(row, place, item)
        self.table.resizeColumnsToContents()

    def _column_clicked(self, place: int) -> None:
        seen, form = self._seen, self._form
        if seen is None or form is None or "target" not in form.editors:
            return
        named = form.values().get("header") != "no"
        form.set_values(
            {**form.values(), "target": seen.columns[place].name if named else str(place + 1)}
        )
        self._wait()

    def _say_problem(self, sentence: str) -> None:
        self._say(sentence, problem=True)

    def _say(self, sentence: str, *, problem: bool) -> None:
        self.words.setText(sentence)
        self.words.setProperty("problem", problem)
        self.words.style().unpolish(self.words)
        self.words.style().polish(self.words)

    def _use(self) -> None:
        if self._seen is not None and self._form is not None and self._whole:
            self.useRequested.emit(self._seen.section())
            self.accept()
