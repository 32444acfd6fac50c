"""The application: what has to be settled before the window is built, and the window's first second.

Nothing here imports torch. The window is on the screen in a fraction of a second; a worker process imports torch meanwhile.
"""

from __future__ import annotations

import locale
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from PySide6.QtCore import QLocale, QSocketNotifier, QTimer
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from optlab import __version__, paths
from optlab.errors import OptLabError
from optlab.experiment import Experiment
from optlab.runners.train import Asked

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow


def create_application(arguments: Sequence[str]) -> QApplication:
    """The QApplication, with numbers that read and write a decimal point wherever the user lives."""
    QLocale.setDefault(QLocale.c())
    application = QApplication.instance() or QApplication(list(arguments))
    assert isinstance(application, QApplication)
    # QApplication sets the C library's locale from the environment; with a decimal comma strtod("1.5") would be 1.0.
    locale.setlocale(locale.LC_NUMERIC, "C")
    application.setApplicationName("optlab")
    application.setApplicationDisplayName("OptLab")
    application.setApplicationVersion(__version__)
    QGuiApplication.setDesktopFileName("optlab")
    application.setWindowIcon(QIcon(str(paths.resources() / "icons" / "optlab.svg")))
    return application


def main(file: Path | None = None, runner: Asked = "auto") -> int:
    """Open the window, with the experiment of a file if one is given, and stay until it is closed.

    Returns:
        the exit code.
    """
    application = create_application(sys.argv[:1])
    from optlab.gui import theme
    from optlab.gui.main_window import MainWindow

    theme.follow(application)
    try:
        window = MainWindow(Experiment.load(file) if file is not None else None, runner)
    except OptLabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    window.show()
    _end_on_signals(window)
    return application.exec()


def _end_on_signals(window: MainWindow) -> None:
    """Ctrl-C in the terminal, or a request to end, closes the window in good order, without asking.

    Python's handlers run only when Python code runs, and Qt's loop may sleep for long: the signal's number arrives on a socket that Qt watches.
    """
    reading, writing = socket.socketpair()
    for end in (reading, writing):
        end.setblocking(False)
    signal.set_wakeup_fd(writing.fileno())
    notifier = QSocketNotifier(reading.fileno(), QSocketNotifier.Type.Read, window)
    notifier.activated.connect(lambda: reading.recv(64))
    # The ends must live as long as the notifier that watches them.
    notifier.destroyed.connect(reading.close)
    notifier.destroyed.connect(writing.close)

    def end_soon(number: int, frame: FrameType | None) -> None:
        # The handler may have interrupted a paint; the window must not vanish beneath it.
        QTimer.singleShot(0, window.close_without_asking)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_soon)
