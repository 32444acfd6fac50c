"""The window's own trial: it trains the first experiment by its own button and says whether all
went well.

A package is believed only after its window has worked on the machine it was installed on (``optlab
--smoke PICTURE``): the window opens, *Start* is clicked, and when the run has ended it must be
stored and a picture of the window written.
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
from optlab.runners.train import Asked
from optlab.store import Store
from optlab.training.events import RunEnded, SessionFailed

PATIENCE_SECONDS = 180.0
"""How long the run may take on a slow machine."""


class Trial:
    """One run in a window, from the click to the picture.

    Attributes:
        problem: why it failed, "" before the end and where it did not. ended: what the run said
            last. run: its stored name.
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
        self._patience = QTimer(window)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self._give_up)

    def begin(self) -> None:
        """Click Start."""
        self._patience.start(round(1000 * PATIENCE_SECONDS))
        button = self._window.controls.start_button
        if not button.isEnabled():
            self._end(f"Start cannot be clicked: {self._window.experiment_panel.problem()}")
            return
        button.click()
        if not self._window.bridge.active:
            self._end(f"Start did not begin a run: {self._window.controls.words.text()}")
            return
        self.run = next(iter(self._window.bridge.run_ids), "")

    def _run_ended(self, ended: RunEnded) -> None:
        self.ended = ended

    def _session_failed(self, failed: SessionFailed) -> None:
        self.problem = " ".join(f"The run failed: {failed.message} {failed.detail}".split())

    def _session_ended(self) -> None:
        # After the window's own answer to this signal.
        QTimer.singleShot(0, self._window, self._look)

    def _look(self) -> None:
        self._end(self.problem or self._shortcoming())

    def _shortcoming(self) -> str:
        """What is not as it should be after the run, "" where all is well."""
        if self.ended is None or self.ended.status != "finished":
            return f"The run ended as {self.ended.status if self.ended else 'nothing'}: {self._window.controls.words.text()}"
        try:
            with Store.open_readonly() as store:
                record = store.runs()[0]
                length = max(
                    (len(series.steps) for series in store.series(record.id).values()), default=0
                )
        except (OptLabError, IndexError) as error:
            return f"The run is not stored: {error}"
        if record.status != "finished" or record.steps != self.ended.steps or length == 0:
            return f"The run is stored as {record.status} after {record.steps} steps with series of {length} values, but {self.ended.steps} steps were taken."
        self.run = record.id
        if not self._window.grab().save(str(self._picture)):
            return f"The picture {self._picture} cannot be written."
        return ""

    def _give_up(self) -> None:
        self._end(
            f"The run did not end within {PATIENCE_SECONDS:.0f} seconds: {self._window.controls.words.text()}"
        )

    def _end(self, problem: str) -> None:
        self.problem = problem
        self._patience.stop()
        self._window.close_without_asking()


def main(picture: Path, runner: Asked = "auto") -> int:
    """Open the window, train its first experiment, write a picture of it, and close.

    Returns:
        the exit code: 0 where everything worked, else 1; the sentence that is printed says what
            came of it.
    """
    application = create_application(sys.argv[:1])
    theme.follow(application)
    try:
        paths.writable_home()
        window = MainWindow(None, runner)
    except OptLabError as error:
        print(error, file=sys.stderr)
        return 1
    trial = Trial(window, picture)
    window.show()
    QTimer.singleShot(0, window, trial.begin)
    application.exec()
    if trial.problem or trial.ended is None:
        print(trial.problem or "The window was closed before the run ended.", file=sys.stderr)
        return 1
    print(
        f"The window trained: run {trial.run} is stored, {trial.ended.status} after {trial.ended.steps} steps; a picture is in {picture}."
    )
    return 0
