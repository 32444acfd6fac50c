"""What happens to an exception that a slot did not catch: a report that can be copied and saved.

It is logged and printed as well. There is one report at a time: what fails again while it is open is
added to it or counted, so that a failing paint event opens no row of dialogs.
"""

from __future__ import annotations

import platform
import sys
import traceback
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, Qt, Signal, qVersion
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
from optlab.core.errors import StoreError
from optlab.core.files import write_atomically
from optlab.core.logging import log_file, log_uncaught
from optlab.gui.geometry import resize_to_screen
from optlab.gui.manners import file_dialogs
from optlab.gui.plain_text import wrapped_label

MAX_FAILURES = 20
"""Different failures that one report shows."""


def log_and_print(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Log and print an exception; a window that was started from a menu has no terminal."""
    log_uncaught(kind, error, trace)
    sys.__excepthook__(kind, error, trace)


class FailureReports(QObject):
    """Reports exceptions; :meth:`hook` is to be the hook of the interpreter.

    Args:
        window: above which the report opens.
    """

    _raised = Signal(str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._failures: dict[str, int] = {}
        self.report: FailureReport | None = None
        # Later, in the window's thread: no dialog can be made within a paint event.
        self._raised.connect(self._show, Qt.ConnectionType.QueuedConnection)

    def hook(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Log, print and report an exception; has the signature of :func:`sys.excepthook`."""
        log_and_print(kind, error, trace)
        if issubclass(kind, Exception):
            self._raised.emit("".join(traceback.format_exception(kind, error, trace)))

    def _show(self, failure: str) -> None:
        known = failure in self._failures
        if not known and len(self._failures) >= MAX_FAILURES:
            return
        self._failures[failure] = self._failures.get(failure, 0) + 1
        if self.report is None:
            if known:
                return  # it was reported, and the user has closed the report
            self.report = FailureReport(self._window)
            self.report.finished.connect(self._closed)
            self.report.show()
            self.report.started = len(self._failures) - 1
        self.report.show_failures(list(self._failures.items())[self.report.started :])

    def _closed(self) -> None:
        if self.report is not None:
            self.report.deleteLater()
            self.report = None


class FailureReport(QDialog):
    """Shows failures with versions and the path of the log.

    Attributes:
        started: how many failures had been reported before this dialog was opened.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Something failed in OptLab")
        resize_to_screen(self, 820, 520)
        self.started = 0
        self.sentence = wrapped_label("problem")
        self.sentence.setText(
            "Part of the window has failed; this is a defect of OptLab. A run in progress goes on, "
            "and what is stored is safe. Please save or copy this report and send it to us."
        )
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Report")
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.note = wrapped_label("muted")
        self.copy_button = QPushButton("&Copy")
        self.save_button = QPushButton("&Save…")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.save_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.sentence)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.note)
        layout.addWidget(buttons)
        self.copy_button.clicked.connect(self._copy)
        self.save_button.clicked.connect(self._save)

    def show_failures(self, failures: list[tuple[str, int]]) -> None:
        """Show tracebacks with the number of times that each occurred."""
        head = (
            f"OptLab {__version__}, Python {platform.python_version()}, Qt {qVersion()}, "
            f"{platform.platform()}\nLog: {log_file()}\n"
        )
        parts = [f"{text}({count} times)\n" if count > 1 else text for text, count in failures]
        self.text.setPlainText("\n".join([head, *parts]))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.toPlainText())
        self.note.setText("Copied.")

    def _save(self) -> None:
        name, _ = file_dialogs.save_file(
            self, "Save report", "optlab-report.txt", "Text (*.txt);;All files (*)"
        )
        if not name:
            return
        try:
            write_atomically(Path(name), self.text.toPlainText().encode())
        except StoreError as error:
            self.note.setText(str(error))
        else:
            self.note.setText(f"Saved to {name}.")
