"""Registering a model of one's own: what will be executed is shown, and nothing is before it was
confirmed.
"""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from optlab.core.errors import OptLabError
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.sources import Source
from optlab.tasks.own_files import Registered, RegisterTask

_WARNING = (
    "Registering executes this file, now and whenever an experiment on this machine names the model. It can do whatever you can do on this machine. "
    "An experiment file can name a registered model; it can never bring one along."
)


class RegisterDialog(QDialog):
    """Asks for a file and a name, shows the source, and registers it when it is told to.

    Signals: ``registered(str)``: the model of this name can be picked now.
    """

    registered = Signal(str)

    def __init__(self, prewarmer: WorkerPrewarmer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Register a model of your own")
        self.resize(820, 680)
        self._source: Source | None = None
        self.questions = TaskBridge(prewarmer.pool, self)
        self.path = QLineEdit()
        self.path.setPlaceholderText(
            "A Python file, or an importable module; with :Class behind it where there are several"
        )
        self.path.setAccessibleName("File or module")
        file_button = QPushButton("File…")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name")
        self.facts = QLabel("")
        self.facts.setWordWrap(True)
        self.facts.setProperty("role", "muted")
        self.code = QPlainTextEdit()
        self.code.setReadOnly(True)
        self.code.setAccessibleName("Source")
        self.code.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.code.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.warning = QLabel(_WARNING)
        self.warning.setWordWrap(True)
        self.words = QLabel("")
        self.words.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.confirm_button = QPushButton("Execute and register")
        self.confirm_button.setObjectName("primary")
        buttons.addButton(self.confirm_button, QDialogButtonBox.ButtonRole.ApplyRole)
        row = QHBoxLayout()
        row.addWidget(self.path)
        row.addWidget(file_button)
        form = QFormLayout()
        form.addRow("File", row)
        form.addRow("Name  own.", self.name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addLayout(form)
        layout.addWidget(self.facts)
        layout.addWidget(self.code, 1)
        layout.addWidget(self.warning)
        layout.addWidget(self.words)
        layout.addWidget(buttons)
        file_button.clicked.connect(self._choose)
        self.path.editingFinished.connect(self._look)
        self.name.textEdited.connect(lambda _text: self._check())
        self.confirm_button.clicked.connect(self._confirm)
        buttons.rejected.connect(self.reject)
        self.questions.answered.connect(self._take)
        self.questions.failed.connect(self._failed)
        self.finished.connect(lambda _result: self.questions.shut_down())
        self._check()

    def open_path(self, what: str) -> None:
        """Show the source of a file or module, without executing it."""
        self.path.setText(what)
        self._look()

    def _choose(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "A model of your own", self.path.text(), "Python (*.py);;All files (*)"
        )
        if name:
            self.open_path(name)

    def _look(self) -> None:
        what = self.path.text().strip()
        self._source = None
        self.code.clear()
        self.facts.setText("")
        self._say("")
        if what:
            try:
                self._source = sources.find(what)
            except OptLabError as error:
                self._say(str(error), problem=True)
        if self._source is not None:
            self.code.setPlainText(self._source.content.decode("utf-8", "replace"))
            self.facts.setText(
                f"class {self._source.cls} in {self._source.path}\nSHA-256 {self._source.sha256}"
            )
            self.name.setText(records.name_of(self._source.cls))
        self._check()

    def _check(self) -> None:
        problem = ""
        if self._source is not None:
            try:
                records.checked_name(self.name.text().strip())
            except OptLabError as error:
                problem = str(error)
            self._say(problem, problem=bool(problem))
        self.confirm_button.setEnabled(
            self._source is not None and not problem and not self.questions.active
        )

    def _confirm(self) -> None:
        if self._source is not None:
            self.confirm_button.setEnabled(False)
            self._say("Trying the model on data of the usual shapes…")
            what = self._source.origin if self._source.imported else str(self._source.path)
            self.questions.ask(
                RegisterTask(
                    f"{what}:{self._source.cls}", self._source.sha256, self.name.text().strip()
                )
            )

    def _take(self, done: Registered) -> None:
        self.registered.emit(f"{records.PREFIX}{done.registration.name}")
        self.accept()

    def _failed(self, sentence: str) -> None:
        self._say(sentence, problem=True)
        self.confirm_button.setEnabled(True)

    def _say(self, sentence: str, *, problem: bool = False) -> None:
        self.words.setText(sentence)
        self.words.setProperty("problem", problem)
        self.words.style().unpolish(self.words)
        self.words.style().polish(self.words)
