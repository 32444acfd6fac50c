"""The machine dialog: versions, devices, display and data folder; after a failure, its details.

All of it can be copied.
"""

from __future__ import annotations

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from optlab import __version__
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.geometry import resize_to_screen
from optlab.tasks.doctor import Finding
from optlab.tasks.machine import MachineTask, as_text


class MachineDialog(QDialog):
    """Shows the result of ``optlab doctor``.

    Args:
        prewarmer: its pool executes the checks.
        failure: message and traceback to show above the result, or "".
        parent: window above which the dialog opens.
    """

    def __init__(
        self, prewarmer: WorkerPrewarmer, failure: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Details" if failure else "This machine")
        resize_to_screen(self, 820, 520)
        self._head = f"OptLab {__version__}\n" + (f"\n{failure.strip()}\n" if failure else "")
        self.tasks = TaskBridge(prewarmer.pool, self)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Details")
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setPlainText(f"{self._head}\nExamining this machine…")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.copy_button = QPushButton("Copy all")
        buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(self.text, 1)
        layout.addWidget(buttons)
        self.copy_button.clicked.connect(
            lambda: QGuiApplication.clipboard().setText(self.text.toPlainText())
        )
        buttons.rejected.connect(self.reject)
        self.tasks.answered.connect(self._show)
        self.tasks.failed.connect(
            lambda sentence: self.text.setPlainText(f"{self._head}\n{sentence}")
        )
        self.finished.connect(lambda _result: self.tasks.shut_down())
        self.tasks.ask(MachineTask())

    def _show(self, findings: tuple[Finding, ...]) -> None:
        self.text.setPlainText(f"{self._head}\n{as_text(findings)}\n")
