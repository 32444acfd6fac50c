"""The application: what has to be set up before the main window is built, and its start.

The window is painted before what is large is imported, its panels follow within a second, and a
worker process imports torch meanwhile.
"""

from __future__ import annotations

import gc
import locale
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QLocale, QSettings
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from optlab import __version__
from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.core.printable import printable
from optlab.gui.manners.failure_report import FailureReports, log_and_print
from optlab.gui.termination_signals import TerminationSignals

if TYPE_CHECKING:
    from optlab.experiment import Experiment
    from optlab.runners.train import RunnerChoice


def create_application(arguments: Sequence[str]) -> QApplication:
    """Return the QApplication; numbers use a decimal point in every locale.

    What Qt's own dialogs remember (the folder shown last, the width of columns) is kept in the data
    folder, where they would write ``QtProject.conf`` among the user's settings.
    """
    own = str((paths.home() / "qt").absolute())
    QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, own)
    QLocale.setDefault(QLocale.c())
    application = QApplication.instance() or QApplication(list(arguments))
    assert isinstance(application, QApplication)
    # QApplication sets the C library's locale from the environment; with a decimal comma
    # strtod("1.5") would be 1.0.
    locale.setlocale(locale.LC_NUMERIC, "C")
    application.setApplicationName("optlab")
    application.setApplicationDisplayName("OptLab")
    application.setApplicationVersion(__version__)
    QGuiApplication.setDesktopFileName("optlab")
    application.setWindowIcon(QIcon(str(paths.resources() / "icons" / "optlab.svg")))
    return application


def main(
    file: Path | None = None, runner: RunnerChoice = "auto", folder: Path | None = None
) -> int:
    """Open the main window and run the event loop until it is closed.

    Args:
        file: experiment to show; by default a preset.
        runner: where runs execute: ``auto``, ``thread`` or ``process``.
        folder: of watched runs to show, too.

    Returns:
        the exit code.
    """
    application = create_application(sys.argv[:1])
    sys.excepthook = log_and_print
    from optlab.gui import theme
    from optlab.gui.main_window import MainWindow
    from optlab.gui.manners import appearance
    from optlab.gui.manners.session import Session

    session = Session(stored=True)
    theme.follow(application)
    appearance.apply(session.preferences)
    gc.disable()
    try:
        window = MainWindow(_experiment(file), runner, at_once=False, session=session)
        sys.excepthook = FailureReports(window).hook
        window.panelsBuilt.connect(_collect_garbage)
        if folder is not None:
            window.panelsBuilt.connect(lambda: window.secondary_windows.show_watched(folder))
        window.show()
        signals = TerminationSignals(window.close_without_asking, window)
        try:
            code = application.exec()
        finally:
            signals.close()
        if window.failure is not None:
            raise window.failure
    except OptLabError as error:
        print(printable(str(error)), file=sys.stderr)
        return error.exit_code
    finally:
        gc.enable()
    return code


def _collect_garbage() -> None:
    """Collect garbage from now on, but do not search in what the imports have made.

    While the window opens there is none, and each search goes through all objects; later, one would
    keep a frame waiting.
    """
    gc.freeze()
    gc.enable()


def _experiment(file: Path | None) -> Experiment | None:
    if file is None:
        return None
    # Imported here: without a file, the first paint does not wait for it.
    from optlab.gui.experiment_files import load_experiment

    return load_experiment(file)
