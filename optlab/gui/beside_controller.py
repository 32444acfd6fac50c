"""Several runs in progress at once: one is followed, the others go on beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction

from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.gui.live_run import LiveRun
from optlab.gui.manners.menu_entries import CHANGE_ALL
from optlab.gui.runs.live_strip import LiveStrip
from optlab.gui.runs.shown_runs import color_of
from optlab.gui.runs_beside import MAX_BESIDE, RunsBeside
from optlab.gui.stored_curves import show_curves
from optlab.gui.summary import ending
from optlab.tasks.stored_runs import RunCurves
from optlab.training.control import Pause, Resume, SetValue, Stop

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow

_BEGINS = "The run is just being started; try again when it trains."


class BesideController(QObject):
    """Lets the run that is followed go on beside, and follows another one.

    Args:
        window: its bridge and its plots follow one run; the panel of runs is built after this.

    Attributes:
        runs: those that go on beside.
        strip: shows all that are in progress, each with its buttons.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.runs = RunsBeside(window.bridge, self)
        self.strip = LiveStrip(self._look)
        self.strip.followRequested.connect(self.look_at)
        self.strip.pauseToggled.connect(lambda run: self.toggle_pause([run]))
        self.strip.stopRequested.connect(lambda run: self.stop([run]))
        self._all = window.findChild(QAction, CHANGE_ALL)
        self.runs.changed.connect(self._show)
        self.runs.ended.connect(self._ended)
        self.runs.troubled.connect(self._troubled)
        window.bridge.frameEnded.connect(self._show)
        window.bridge.sessionEnded.connect(self._show)
        window.controls.newRunRequested.connect(self.set_aside)
        window.experiment_panel.liveValueChanged.connect(self._change_all)

    # --- which run is followed ---------------------------------------------------------------------

    def set_aside(self) -> bool:
        """Let the run in progress go on beside, with its curves over the plots.

        Returns:
            Whether the window follows no run now, so that the experiment can be edited and started.
        """
        window = self._window
        if not window.bridge.active:
            return True
        if self.runs.full:
            window.show_problem(
                f"{MAX_BESIDE + 1} runs are in progress. Stop one of them before another is started."
            )
            return False
        live = window.bridge.release()
        if live is None:
            window.show_problem(_BEGINS)
            return False
        live.title = window.shown_run.name
        window.plots.clear()
        window.plots.set_path_note("")
        window.instruments.clear()
        window.diagnosis_controller.clear()
        window.model_views.clear()
        window.time.clear()
        window.shown_run.clear()
        window.controls.clear()
        self.runs.add(live)
        window.runs.shown.set_visible([live.run_id], True)
        window.controls.say(
            f"“{printable(live.title)}” continues in the background. Edit the experiment and press Start."
        )
        return True

    def look_at(self, run_id: str) -> None:
        """Let the plots follow a run: one that is in progress here, or a stored one."""
        window = self._window
        followed = window.bridge.live
        if followed is not None and followed.run_id == run_id:
            return
        if self.runs.find(run_id) is not None:
            window.stored_runs.read(run_id, self._follow)
        elif self.set_aside():
            window.stored_runs.read(run_id, partial(show_curves, window))

    def _follow(self, curves: RunCurves) -> None:
        """Follow a run from what is stored of it on."""
        window, record = self._window, curves.record
        live = self.runs.find(record.id)
        if live is None or not live.job.alive or live.ended is not None:
            # It has ended while it was read.
            self.look_at(record.id)
            return
        # What is trained is stored with its run, so that the editor may forget it.
        ask = not window.bridge.active
        if live is window.bridge.live or not self.set_aside():
            return
        if not window.files.load_document(record.experiment, ask=ask):
            return
        given = self.runs.give(record.id)
        if given is None:
            return
        changed = {
            message.path: message.value
            for _, message in curves.log
            if isinstance(message, SetValue)
        }
        experiment = Experiment.from_toml(record.experiment, check=False)
        show_curves(window, curves)
        for path, value in changed.items():
            window.experiment_panel.set_live_value(path, value)
        window.shown_run.begin(record.title)
        window.recording.begin()
        window.diagnosis_controller.begin(experiment)
        window.model_views.begin(experiment)
        window.experiment_panel.set_locked(True)
        window.bridge.adopt(given, record.steps, record.tracked)
        window.time.set_first(record.at)

    # --- messages ----------------------------------------------------------------------------------

    def toggle_pause(self, run_ids: Sequence[str]) -> None:
        """Pause runs of this window; where all of them are paused, let them go on."""
        live = [one for run in run_ids if (one := self.runs.find(run)) is not None]
        paused = all(one.activity == "paused" for one in live)
        self.runs.send(run_ids, Resume() if paused else Pause())

    def stop(self, run_ids: Sequence[str]) -> None:
        """Stop runs of this window and save them."""
        followed = self._window.bridge.live
        if followed is not None and followed.run_id in run_ids:
            self._window.controls.set_state("stopping")
        self.runs.send(run_ids, Stop())

    def pause_selected(self) -> None:
        """Pause the selected runs, or let them go on."""
        self.toggle_pause(self._window.runs.panel.selected_runs())

    def stop_selected(self) -> None:
        """Stop the selected runs."""
        self.stop(self._window.runs.panel.selected_runs())

    def acts_on(self, run_ids: Sequence[str]) -> set[str]:
        """Return the names of the actions that some of these runs allow."""
        live = any(self.runs.find(run) is not None for run in run_ids)
        return {"pause_selected", "stop_selected"} if live else set()

    def _change_all(self, path: str, value: float) -> None:
        if self._all is not None and self._all.isChecked():
            self.runs.send([one.run_id for one in self.runs.runs], SetValue(path, value))

    # --- what is said ------------------------------------------------------------------------------

    def _show(self) -> None:
        followed = self._window.bridge.live
        if followed is not None:
            followed.title = self._window.shown_run.name
        if self.runs.active or self.strip.lines:
            self.strip.show_runs(self.runs.live(), "" if followed is None else followed.run_id)

    def _ended(self, live: LiveRun) -> None:
        words = live.problem if live.ended is None else ending(live.ended)
        self._window.runs.panel.say(f"“{printable(live.title)}”: {words}")
        self._window.runs.look_soon()

    def _troubled(self, live: LiveRun) -> None:
        self._window.runs.panel.show_problem(f"“{printable(live.title)}”: {live.problem}")

    def _look(self, run_id: str) -> tuple[str, int]:
        runs = self._window.runs
        row = runs.panel.model.row_of(run_id)
        return runs.shown.name(run_id), 0 if row is None else color_of(row)

    def shut_down(self) -> None:
        """Stop all runs that go on beside, and save them."""
        self.runs.shut_down()
