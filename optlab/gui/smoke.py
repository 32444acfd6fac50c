"""The smoke test of the window (``optlab --smoke PICTURE``).

The window opens, *Start* is clicked, and when the run has ended it must be stored, and a picture of
the window is written. This checks a package on the machine on which it was installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QTimer

from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.gui import theme
from optlab.gui.app import create_application
from optlab.gui.main_window import MainWindow
from optlab.runners.train import RunnerChoice
from optlab.store import Store
from optlab.training.events import RunEnded, SessionFailed

TIMEOUT_SECONDS = 180.0
"""How long the run may take on a slow machine."""


class SmokeTest:
    """One run in a window, from the click to the picture.

    Attributes:
        problem: why it failed, "" before the end and on success.
        ended: how the run ended, None before its end.
        run: id of the stored run.
    """

    def __init__(self, window: MainWindow, picture: Path) -> None:
        self.problem = ""
        self.ended: RunEnded | None = None
        self.run = ""
        self._window = window
        self._picture = picture
        window.bridge.on(RunEnded, self._run_ended)
        window.bridge.on(SessionFailed, self._session_failed)
        window.bridge.sessionEnded.connect(self._session_ended)
        self._timeout = QTimer(window)
        self._timeout.setSingleShot(True)
        self._timeout.timeout.connect(self._time_out)

    def begin(self) -> None:
        """Click *Start*."""
        self._timeout.start(round(1000 * TIMEOUT_SECONDS))
        button = self._window.controls.start_button
        if not button.isEnabled():
            self._end(f"Start cannot be clicked: {self._window.experiment_panel.problem()}")
            return
        button.click()
        if not self._window.bridge.active:
            self._end(f"Start did not begin a run: {self._window.controls.message.text()}")
            return
        self.run = next(iter(self._window.bridge.run_ids), "")

    def _run_ended(self, ended: RunEnded) -> None:
        self.ended = ended

    def _session_failed(self, failed: SessionFailed) -> None:
        self.problem = " ".join(f"The run failed: {failed.message} {failed.detail}".split())

    def _session_ended(self) -> None:
        # After the window has handled this signal itself.
        QTimer.singleShot(0, self._window, self._check)

    def _check(self) -> None:
        self._end(self.problem or self._problem_after_run())

    def _problem_after_run(self) -> str:
        """Return what is wrong after the run, or ""."""
        if self.ended is None or self.ended.status != "finished":
            status = self.ended.status if self.ended else "unknown"
            return f"The run ended as {status}: {self._window.controls.message.text()}"
        try:
            with Store.open_readonly() as store:
                record = store.runs()[0]
                length = max(
                    (len(series.steps) for series in store.series(record.id).values()), default=0
                )
        except (OptLabError, IndexError) as error:
            return f"The run is not stored: {error}"
        if record.status != "finished" or record.steps != self.ended.steps or length == 0:
            return (
                f"The run is stored as {record.status} after {record.steps} steps with series of "
                f"{length} values, but {self.ended.steps} steps were taken."
            )
        self.run = record.id
        if not self._window.grab().save(str(self._picture)):
            return f"The picture {self._picture} cannot be written."
        return ""

    def _time_out(self) -> None:
        self._end(
            f"The run did not end within {TIMEOUT_SECONDS:.0f} seconds: "
            f"{self._window.controls.message.text()}"
        )

    def _end(self, problem: str) -> None:
        self.problem = problem
        self._timeout.stop()
        self._window.close_without_asking()


def main(picture: Path, runner: RunnerChoice = "auto") -> int:
    """Open the window, train its first experiment, write a picture of it, and close.

    The result is printed as one sentence.

    Args:
        picture: PNG file to write.
        runner: where the run executes: ``auto``, ``thread`` or ``process``.

    Returns:
        the exit code: 0 on success, else 1.
    """
    application = create_application(sys.argv[:1])
    theme.follow(application)
    try:
        paths.writable_home()
        window = MainWindow(None, runner)
    except OptLabError as error:
        print(error, file=sys.stderr)
        return 1
    test = SmokeTest(window, picture)
    window.show()
    QTimer.singleShot(0, window, test.begin)
    application.exec()
    if test.problem or test.ended is None:
        print(test.problem or "The window was closed before the run ended.", file=sys.stderr)
        return 1
    print(
        f"The window trained: run {test.run} is stored, {test.ended.status} after "
        f"{test.ended.steps} steps; a picture is in {picture}."
    )
    return 0
