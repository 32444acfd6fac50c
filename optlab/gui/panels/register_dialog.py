"""The dialog that registers a model or an optimizer of the user's own.

It shows the source, and executes nothing before the user confirms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from optlab.core.errors import OptLabError
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.geometry import resize_to_screen
from optlab.gui.manners import file_dialogs
from optlab.gui.plain_text import PlainLabel
from optlab.outside.own_models import division, records
from optlab.outside.own_models.sources import Source
from optlab.tasks.own_files import Registered, RegisterTask, SourceTask
from optlab.tasks.own_optimizer import RegisteredOptimizer, RegisterOptimizerTask

_WARNING = (
    "Registering executes this file, now and whenever an experiment on this machine names the "
    "{kind}. It can do whatever you can do on this machine. An experiment file can name a "
    "registered {kind}, but it can never contain one."
)
_A = {records.MODEL: "a model", records.OPTIMIZER: "an optimizer"}
_TRYING = {
    records.MODEL: "Testing the model on data of common shapes…",
    records.OPTIMIZER: "Comparing its steps with those of a plain training loop…",
}


class RegisterDialog(QDialog):
    """Asks for a file and a name, shows the source, and registers it when confirmed.

    Args:
        kind: ``"model"`` or ``"optimizer"``.
        dataset: section of the experiment in the editor; a model is tried on its data, too.

    Signals: ``registered(str)``: the name under which it can be selected.
    """

    registered = Signal(str)

    def __init__(
        self,
        prewarmer: WorkerPrewarmer,
        parent: QWidget | None = None,
        kind: str = records.MODEL,
        dataset: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(parent)
        self._kind, self._dataset = kind, dataset
        self.setWindowTitle(f"Register {_A[kind]} of your own")
        resize_to_screen(self, 820, 680)
        self._source: Source | None = None
        self._origin = ""
        self.tasks = TaskBridge(prewarmer.pool, self)
        self.path = QLineEdit()
        self.path.setPlaceholderText(
            "Python file or importable module; append :Class if it has several"
        )
        self.path.setAccessibleName("File or module")
        self.file_button = QPushButton("File…")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name")
        self.facts = PlainLabel("")
        self.facts.setWordWrap(True)
        self.facts.setProperty("role", "muted")
        self.code = QPlainTextEdit()
        self.code.setReadOnly(True)
        self.code.setAccessibleName("Source")
        self.code.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.code.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.warning = PlainLabel(_WARNING.format(kind=kind))
        self.warning.setWordWrap(True)
        self.message = PlainLabel("")
        self.message.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.confirm_button = QPushButton("Execute and register")
        self.confirm_button.setObjectName("primary")
        buttons.addButton(self.confirm_button, QDialogButtonBox.ButtonRole.ApplyRole)
        row = QHBoxLayout()
        row.addWidget(self.path)
        row.addWidget(self.file_button)
        self.form = QFormLayout()
        self.form.addRow("File", row)
        self.form.addRow("Name  own.", self.name)
        self.inputs: dict[str, QLineEdit] = {}
        """Argument of the forward pass → the line for what it takes, where it takes several."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addLayout(self.form)
        layout.addWidget(self.facts)
        layout.addWidget(self.code, 1)
        layout.addWidget(self.warning)
        layout.addWidget(self.message)
        layout.addWidget(buttons)
        buttons.rejected.connect(self.reject)
        self._connect()
        self._check()

    def _connect(self) -> None:
        self.file_button.clicked.connect(self._choose)
        self.path.returnPressed.connect(self._show_source)
        self.path.editingFinished.connect(self._show_other_source)
        self.name.textEdited.connect(lambda _text: self._check())
        self.confirm_button.clicked.connect(self._confirm)
        self.tasks.answered.connect(self._answered)
        self.tasks.finished.connect(self._enable)
        self.tasks.failed.connect(self._failed)
        self.finished.connect(lambda _result: self.tasks.shut_down())

    def open_path(self, origin: str) -> None:
        """Show the source of a file or module, without executing it."""
        self.path.setText(origin)
        self._show_source()

    def _choose(self) -> None:
        name = file_dialogs.open_file(
            self, f"Select {_A[self._kind]}", "Python (*.py);;All files (*)", self.path.text()
        )
        if name:
            self.open_path(name)

    def _show_source(self) -> None:
        self._origin = origin = self.path.text().strip()
        self._source = None
        self._ask_for_inputs({})
        self.code.clear()
        self.facts.setText("")
        self._say("")
        if origin:
            self._say("Reading the source…")
            self.tasks.ask(SourceTask(origin, self._kind))
        self._enable()

    def _show_other_source(self) -> None:
        """Show the source that the line names, unless it is the one that is shown.

        A line loses the focus, too, when the user presses the button that confirms.
        """
        if self.path.text().strip() != self._origin:
            self._show_source()

    def _show(self, source: Source) -> None:
        self._source = source
        self.code.setPlainText(source.content.decode("utf-8", "replace"))
        beside = "".join(f"\nimports {path}" for path in source.files[1:])
        self.facts.setText(f"class {source.cls} in {source.path}\nSHA-256 {source.sha256}{beside}")
        self.name.setText(records.name_of(source.cls))
        if self._kind == records.MODEL:
            self._ask_for_inputs(division.asked_by(source.content, source.cls))
        self._check()

    def _ask_for_inputs(self, said: dict[str, str]) -> None:
        """Show a line for each argument of the forward pass, with the columns that it takes."""
        for line in self.inputs.values():
            self.form.removeRow(line)
        self.inputs = {}
        for name, columns in said.items():
            line = QLineEdit(columns)
            line.setPlaceholderText(
                f"Columns for {name}: names, numbers or * for the others; empty: the column "
                f"{name}, or what the others leave"
            )
            line.setAccessibleName(f"Columns for {name}")
            self.inputs[name] = line
            self.form.addRow(f"Input  {name}", line)

    def _name_problem(self) -> str:
        try:
            records.checked_name(self.name.text().strip(), self._kind)
        except OptLabError as error:
            return str(error)
        return ""

    def _check(self) -> None:
        if self._source is not None:
            problem = self._name_problem()
            self._say(problem, problem=bool(problem))
        self._enable()

    def _enable(self) -> None:
        self.confirm_button.setEnabled(
            self._source is not None and not self._name_problem() and not self.tasks.active
        )

    def _confirm(self) -> None:
        if self._source is not None:
            self._set_fixed(True)
            self._say(_TRYING[self._kind])
            origin = self._source.origin if self._source.imported else str(self._source.path)
            what = f"{origin}:{self._source.cls}"
            fingerprint, name = self._source.fingerprint, self.name.text().strip()
            if self._kind == records.MODEL:
                lines = {argument: line.text().strip() for argument, line in self.inputs.items()}
                said = {argument: columns for argument, columns in lines.items() if columns}
                columns = division.entries(said)
                self.tasks.ask(
                    RegisterTask(what, fingerprint, name, columns=columns, dataset=self._dataset)
                )
            else:
                self.tasks.ask(RegisterOptimizerTask(what, fingerprint, name))
            self._enable()

    def _set_fixed(self, fixed: bool) -> None:
        """Lock the fields while what they name is being registered."""
        for widget in (self.path, self.file_button, self.name, *self.inputs.values()):
            widget.setEnabled(not fixed)

    def _answered(self, result: Source | Registered | RegisteredOptimizer) -> None:
        if isinstance(result, Source):
            self._show(result)
            return
        self.registered.emit(f"{records.PREFIX}{result.registration.name}")
        self.accept()

    def _failed(self, sentence: str) -> None:
        self._set_fixed(False)
        self._say(sentence, problem=True)
        self._enable()

    def _say(self, sentence: str, *, problem: bool = False) -> None:
        self.message.setText(sentence)
        self.message.setProperty("problem", problem)
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)
