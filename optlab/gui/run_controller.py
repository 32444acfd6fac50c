"""The run controller: turns an experiment into a run, and the run's events into what is shown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.gui.plots.value_export import StoredValues
from optlab.gui.shown_run import PATH_RESUMED
from optlab.gui.stored_curves import show_curves
from optlab.gui.summary import summary
from optlab.gui.time_controller import until
from optlab.runners.train import RunnerChoice
from optlab.tasks.history import PreparedFork
from optlab.tasks.stored_runs import RunCurves
from optlab.training import control, events
from optlab.training.control import Message

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow


class RunController(QObject):
    """Starts, resumes and stops the run of a window, and shows its events.

    Args:
        window: its panels show the run; all of them are built.
        runner: where runs execute: ``auto``, ``thread`` or ``process``.
    """

    def __init__(self, window: MainWindow, runner: RunnerChoice) -> None:
        super().__init__(window)
        self._window, self._runner = window, runner
        self._start_when_checked: tuple[Message, ...] | None = None
        bridge = window.bridge
        bridge.on(events.SessionStarted, self._session_started)
        bridge.on(events.SeriesBlock, self._take_block)
        bridge.on(events.WeightPath, window.plots.show_path)
        bridge.on(events.InstrumentImage, window.instruments.show_image)
        bridge.on(events.InstrumentCosts, window.instruments.show_costs)
        bridge.on(events.StepModeChanged, self._step_mode_changed)
        bridge.on(events.ActivityChanged, self._activity_changed)
        bridge.on(events.StepWarning, self._step_warned)
        bridge.on(events.RunEnded, self._run_ended)
        window.drawing.add(lambda: window.plots.plots)
        window.drawing.add(lambda: window.instruments.visible_cards)
        bridge.sessionEnded.connect(self._session_ended)
        window.failures.reportRequested.connect(window.secondary_windows.show_machine)
        window.time.forkReady.connect(
            lambda made: window.stored_runs.read(made.fork.parent, partial(self._start_fork, made))
        )
        window.controls.pauseRequested.connect(lambda: bridge.send(control.Pause()))
        window.controls.resumeRequested.connect(lambda: bridge.send(control.Resume()))
        window.controls.stopRequested.connect(self._stop)

    def begin_when_checked(self) -> None:
        """Start the run that waits until the user's data or model have been read."""
        first = self._start_when_checked
        if first is not None and not self._window.experiment_panel.pending:
            self._start_when_checked = None
            self.begin(first)

    def resume(self, run_id: str, *, changed_data: bool = False) -> None:
        """Resume a stored run, as soon as its curves have been read.

        Args:
            run_id: its id.
            changed_data: whether to go on although the files that it has read have changed.
        """
        self._window.stored_runs.read(run_id, partial(self._resume, changed_data=changed_data))

    def _resume(self, curves: RunCurves, *, changed_data: bool) -> None:
        record = curves.record
        if self._window.bridge.active or not self._window.files.load_document(record.experiment):
            return
        show_curves(self._window, curves)
        self._window.shown_run.resume(record)
        self._window.bridge.resume(record.id, self._where(), changed_data=changed_data)
        self._window.failures.resuming(partial(self.resume, record.id, changed_data=True))
        experiment = Experiment.from_toml(record.experiment, check=False)
        self._window.diagnosis_controller.begin(experiment)
        self._window.model_views.begin(experiment)
        self._show_starting()

    def begin(self, first: tuple[Message, ...]) -> None:
        """Train the experiment that the editor shows, once what it reads has been checked.

        Args:
            first: messages that the run receives before its first step.
        """
        if self._window.experiment_panel.pending:
            self._start_when_checked = first
            self._window.controls.say("Starting when your data or model have been read…")
            return
        try:
            experiment = self._window.experiment_panel.experiment()
        except OptLabError as error:
            self._window.controls.say(str(error), problem=True)
            return
        self._window.stored_runs.drop()
        if self._window.time.takes_over(experiment):
            self._window.controls.set_state("starting")
            return
        self._window.plots.clear()
        self._window.plots.set_path_note("")
        self._window.instruments.clear()
        checked = self._window.experiment_panel.checked
        if checked is not None and checked.task is not None:
            self._window.plots.set_task(checked.task)
        self._window.shown_run.begin(experiment.title())
        self._window.time.begin(experiment.title())
        self._window.bridge.start(
            experiment, self._where(), (*self._window.time.first_messages, *first)
        )
        self._window.diagnosis_controller.begin(experiment)
        self._window.model_views.begin(experiment)
        self._show_starting()

    def _start_fork(self, prepared: PreparedFork, curves: RunCurves) -> None:
        made = prepared.fork
        experiment = Experiment.from_toml(made.experiment, check=False)
        show_curves(self._window, until(curves, made.at))
        self._window.shown_run.begin(prepared.title)
        self._window.bridge.start(experiment, self._where(), self._window.time.first_messages, made)
        self._window.diagnosis_controller.begin(experiment)
        self._window.model_views.begin(experiment)
        self._show_starting()

    def _where(self) -> RunnerChoice:
        """Return where the next run executes: several in threads would wait for one lock."""
        beside = self._window.beside.runs.active
        return "process" if self._runner == "auto" and beside else self._runner

    def _show_starting(self) -> None:
        self._window.recording.begin()
        self._window.banner.hide()
        self._window.experiment_panel.set_locked(True)
        self._window.controls.set_state("starting")
        self._window.controls.say("Starting…")

    def _stop(self) -> None:
        self._window.controls.set_state("stopping")
        self._window.controls.say("Stopping…")
        self._window.bridge.send(control.Stop())

    def _session_started(self, started: events.SessionStarted) -> None:
        self._window.plots.set_followed(started.tracked)
        self._window.plots.set_value_source(StoredValues(self._window.bridge.run_ids))
        if started.step:
            self._window.plots.set_path_note(PATH_RESUMED.format(step=started.step))
        self._window.controls.begin(started.steps, started.step, started.device_name)
        self._window.controls.set_state("running")
        last = (
            f" ({started.last_batch} in the last batch of an epoch)"
            if started.last_batch != started.batch
            else ""
        )
        self._window.controls.say(
            f"Training {started.parameters:,} parameters: {started.steps_per_epoch:,} steps per "
            f"epoch, batch size {started.batch}{last}."
        )

    def _take_block(self, block: events.SeriesBlock) -> None:
        self._window.plots.add(block)
        self._window.instruments.add(block)
        self._window.controls.advance(block.step, block.seconds)

    def _step_mode_changed(self, changed: events.StepModeChanged) -> None:
        self._window.controls.set_mode(changed.mode, changed.reason)

    def _activity_changed(self, changed: events.ActivityChanged) -> None:
        paused = changed.activity == "paused"
        self._window.controls.set_state("paused" if paused else "running")
        self._window.controls.say(
            "Paused: change live fields, take single steps, or resume." if paused else "Training…"
        )

    def _step_warned(self, warning: events.StepWarning) -> None:
        self._window.controls.say(f"Step {warning.step:,}: {warning.words}.")

    def _run_ended(self, ended: events.RunEnded) -> None:
        diverged = ended.status == "diverged"
        sentence = summary(ended)
        if self._window.recording.problem:
            sentence += " The recording is incomplete."
        self._window.controls.say(
            sentence, problem=diverged or bool(self._window.recording.problem)
        )
        self._window.recording.show_with(
            f"The run diverged: {ended.reason}. Lower the learning rate, or clip the gradient by "
            "its norm."
            if diverged
            else ""
        )

    def _session_ended(self) -> None:
        self._window.experiment_panel.set_locked(False)
        self._window.controls.set_state("idle")
