"""The main window: the experiment on the left, its plots in the middle, the run's controls below.

The window decides nothing about training. It turns an experiment into a run through the bridge, and
the run's events into curves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QShowEvent
from PySide6.QtWidgets import QMainWindow, QSplitter, QTabWidget, QVBoxLayout, QWidget

from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.bridge import RunBridge, TaskBridge, Turn, WorkerPrewarmer
from optlab.gui.diagnosis_controller import DiagnosisController
from optlab.gui.dropped_files import DroppedFiles
from optlab.gui.experiment_files import ExperimentFiles
from optlab.gui.failure_notice import FailureNotice
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.hang_notice import HangNotice
from optlab.gui.instruments.instruments_panel import InstrumentsPanel
from optlab.gui.live_changes import LiveChanges
from optlab.gui.menus import build_menus
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar
from optlab.gui.panels.diagnosis_panel import DiagnosisPanel
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.gui.panels.time_panel import TimePanel
from optlab.gui.plots.value_export import StoredValues
from optlab.gui.questions import may_stop_run
from optlab.gui.recording_notice import RecordingNotice
from optlab.gui.secondary_windows import SecondaryWindows
from optlab.gui.shown_run import PATH_NOT_STORED, PATH_RESUMED, ShownRun
from optlab.gui.stored_runs import StoredRuns
from optlab.gui.summary import summary
from optlab.gui.time_controller import TimeController, until
from optlab.runners.train import RunnerChoice
from optlab.store import RunRecord
from optlab.tasks.checking import CheckTask
from optlab.tasks.history import PreparedFork
from optlab.tasks.preview import PreviewTask
from optlab.tasks.stored_runs import RunCurves
from optlab.training import events
from optlab.training.control import Advance, Message, Pause, Resume, Stop

DEFAULT_PRESET = "digits-mlp"


class MainWindow(QMainWindow):
    """The main window of OptLab.

    Args:
        experiment: shown at first; by default the preset ``digits-mlp``.
        runner: where runs execute: ``auto``, ``thread`` or ``process``.
    """

    def __init__(self, experiment: Experiment | None = None, runner: RunnerChoice = "auto") -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        resize_to_screen(self, 1360, 860)
        self._runner = runner
        self._was_shown = False
        self._close_confirmed = False
        self._start_when_checked: tuple[Message, ...] | None = None
        self._prewarmer = WorkerPrewarmer()
        self.bridge = RunBridge(self._prewarmer.pool, self)
        # One worker reads the user's data for both.
        turn = Turn(self)
        self.checks = TaskBridge(self._prewarmer.pool, self, turn)
        self.preview = TaskBridge(self._prewarmer.pool, self, turn)
        self.stored_runs = StoredRuns(self)
        self.secondary_windows = SecondaryWindows(self._prewarmer, self)
        self.experiment_panel = ExperimentPanel()
        self.plots = PlotsPanel()
        self.instruments = InstrumentsPanel()
        self.banner = Banner()
        self.diagnosis_panel = DiagnosisPanel()
        self.controls = ControlBar()
        self.timeline = TimePanel()
        self._build_layout()
        self.time = TimeController(self.bridge, self.timeline, self.banner, self._prewarmer, self)
        self.diagnosis_controller = DiagnosisController(
            self.bridge, self.experiment_panel, self.diagnosis_panel, self
        )
        self.live_changes = LiveChanges(
            self.bridge, self.experiment_panel, self.instruments, self.plots, self.controls, self
        )
        self.files = ExperimentFiles(
            self.experiment_panel, self._show_experiment, self.bridge, self.banner, self
        )
        self.recording = RecordingNotice(self.bridge, self.banner, self.controls, self)
        self.failures = FailureNotice(self.bridge, self.banner, self.controls, self.recording, self)
        self.shown_run = ShownRun(
            self.bridge,
            (self.plots.caption, self.instruments.caption),
            (self.plots, self.instruments),
            self,
        )
        self.dropped = DroppedFiles(
            self, self.files.load, self.when_editable(self.secondary_windows.import_data)
        )
        self.hang_notice = HangNotice(self.bridge, self.banner, self.controls, self)
        self.presets_menu = build_menus(self)
        self._connect_panels()
        self._connect_run()
        self.apply_theme()
        self._show_experiment(
            experiment or Experiment.load(paths.presets() / f"{DEFAULT_PRESET}.toml")
        )

    # --- building ---------------------------------------------------------------------------------

    def _build_layout(self) -> None:
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(8, 8, 8, 0)
        column.setSpacing(5)
        column.addWidget(self.banner)
        self.views = QTabWidget()
        self.views.setDocumentMode(True)
        self.views.addTab(scrollable(self.plots), "Run")
        self.views.addTab(self.instruments, "Instruments")
        column.addWidget(self.views, 1)
        column.addWidget(self.diagnosis_panel)
        column.addWidget(self.timeline)
        column.addWidget(self.controls)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(self.experiment_panel)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([430, 930])
        self.setCentralWidget(split)

    def _connect_panels(self) -> None:
        panel, bridge, controls, others = (
            self.experiment_panel,
            self.bridge,
            self.controls,
            self.secondary_windows,
        )
        panel.experimentChanged.connect(self._experiment_changed)
        panel.pageRequested.connect(others.show_page)
        panel.previewRequested.connect(self._request_preview)
        panel.checkRequested.connect(
            lambda tables, fit_loss: self.checks.ask(CheckTask(tables, fit_loss))
        )
        panel.instrumentRefused.connect(self.instruments.show_problem)
        self.checks.answered.connect(panel.show_check)
        self.checks.failed.connect(panel.show_check_problem)
        self.stored_runs.said.connect(controls.say)
        self.stored_runs.failed.connect(self._show_problem)
        self.stored_runs.interrupted.connect(self._offer_interrupted)
        self.stored_runs.noticed.connect(self._show_notice)
        self.preview.answered.connect(panel.show_preview)
        self.preview.failed.connect(panel.show_preview_problem)
        self.diagnosis_controller.said.connect(controls.say)
        self.files.saved.connect(lambda path: controls.say(f"Saved to {path}."))
        others.presetPicked.connect(self._open_preset)
        others.componentPicked.connect(self.when_editable(panel.pick))
        others.dataPicked.connect(lambda section: panel.set_section("dataset", section))
        others.modelRegistered.connect(self._model_registered)
        others.resumeRequested.connect(self.resume)
        others.runPicked.connect(self.show_stored)
        others.experimentPicked.connect(self.files.load_document)
        controls.startRequested.connect(self.start)
        controls.pauseRequested.connect(lambda: bridge.send(Pause()))
        controls.resumeRequested.connect(lambda: bridge.send(Resume()))
        controls.stepRequested.connect(self.step)
        controls.stopRequested.connect(self._stop)
        self.instruments.pageRequested.connect(others.show_page)
        self.views.currentChanged.connect(lambda _index: self.instruments.refresh())
        self.time.connect_editor(panel)
        self.time.stepChanged.connect(self.plots.set_cursor)
        self.time.experimentReady.connect(self._edit_fork)
        self.time.forkReady.connect(self._fork_ready)
        self.time.armed.connect(controls.set_forking)
        self.time.said.connect(controls.say)
        self.time.failed.connect(self._time_failed)
        self.diagnosis_controller.forkRequested.connect(partial(self.time.prepare, None))
        theme.notifier().themeChanged.connect(self.apply_theme)

    def _connect_run(self) -> None:
        bridge = self.bridge
        bridge.on(events.SessionStarted, self._session_started)
        bridge.on(events.SeriesBlock, self._take_block)
        bridge.on(events.WeightPath, self.plots.show_path)
        bridge.on(events.InstrumentImage, self.instruments.show_image)
        bridge.on(events.InstrumentCosts, self.instruments.show_costs)
        bridge.on(events.ActivityChanged, self._activity_changed)
        bridge.on(events.StepWarning, self._step_warned)
        bridge.on(events.RunEnded, self._run_ended)
        bridge.frameEnded.connect(self.plots.refresh)
        bridge.frameEnded.connect(self.instruments.refresh)
        bridge.sessionEnded.connect(self._session_ended)
        self.failures.reportRequested.connect(self.secondary_windows.show_machine)

    # --- the life of a run ------------------------------------------------------------------------

    def start(self) -> None:
        """Train the experiment that the editor shows."""
        self._begin(())

    def step(self) -> None:
        """Take one step of the run in progress, or start a run that pauses after its first step."""
        if self.bridge.active:
            self.bridge.send(Advance(1))
        else:
            self._begin((Advance(1),))

    def resume(self, run_id: str, *, changed_data: bool = False) -> None:
        """Resume a stored run, as soon as its curves have been read.

        Args:
            run_id: its id.
            changed_data: whether to go on although the files that it has read have changed.
        """
        self.stored_runs.read(run_id, partial(self._resume, changed_data=changed_data))

    def _resume(self, curves: RunCurves, *, changed_data: bool) -> None:
        record = curves.record
        if self.bridge.active or not self.files.load_document(record.experiment):
            return
        self._show_curves(curves)
        self.shown_run.resume(record)
        self.bridge.resume(record.id, self._runner, changed_data=changed_data)
        self.failures.resuming(partial(self.resume, record.id, changed_data=True))
        self.diagnosis_controller.begin(Experiment.from_toml(record.experiment, check=False))
        self._show_starting()

    def _begin(self, first: tuple[Message, ...]) -> None:
        if self.experiment_panel.pending:
            self._start_when_checked = first
            self.controls.say("Starting when your data or model have been read…")
            return
        try:
            experiment = self.experiment_panel.experiment()
        except OptLabError as error:
            self.controls.say(str(error), problem=True)
            return
        self.stored_runs.drop()
        if self.time.takes_over(experiment):
            self.controls.set_state("starting")
            return
        self.plots.clear()
        self.plots.set_path_note("")
        self.instruments.clear()
        checked = self.experiment_panel.checked
        if checked is not None and checked.task is not None:
            self.plots.set_task(checked.task)
        self.shown_run.begin(experiment.title())
        self.time.begin(experiment.title())
        self.bridge.start(experiment, self._runner, (*self.time.first_messages, *first))
        self.diagnosis_controller.begin(experiment)
        self._show_starting()

    def _edit_fork(self, document: str, changes: dict[str, Any]) -> None:
        if self.files.load_document(document) and changes:
            self.experiment_panel.change(changes)

    def _fork_ready(self, prepared: PreparedFork) -> None:
        self.stored_runs.read(prepared.fork.parent, partial(self._start_fork, prepared))

    def _start_fork(self, prepared: PreparedFork, curves: RunCurves) -> None:
        made = prepared.fork
        experiment = Experiment.from_toml(made.experiment, check=False)
        self._show_curves(until(curves, made.at))
        self.shown_run.begin(prepared.title)
        self.bridge.start(experiment, self._runner, self.time.first_messages, made)
        self.diagnosis_controller.begin(experiment)
        self._show_starting()

    def _time_failed(self, sentence: str) -> None:
        self.controls.set_state("idle")
        self.controls.say(sentence, problem=True)

    def _show_starting(self) -> None:
        self.recording.begin()
        self.banner.hide()
        self.experiment_panel.set_locked(True)
        self.controls.set_state("starting")
        self.controls.say("Starting…")

    def _stop(self) -> None:
        self.controls.set_state("stopping")
        self.controls.say("Stopping…")
        self.bridge.send(Stop())

    def _session_started(self, started: events.SessionStarted) -> None:
        self.plots.set_followed(started.tracked)
        self.plots.set_value_source(StoredValues(self.bridge.run_ids))
        if started.step:
            self.plots.set_path_note(PATH_RESUMED.format(step=started.step))
        self.controls.begin(started.steps, started.step, started.device_name)
        self.controls.set_state("running")
        last = (
            f" ({started.last_batch} in the last batch of an epoch)"
            if started.last_batch != started.batch
            else ""
        )
        self.controls.say(
            f"Training {started.parameters:,} parameters: {started.steps_per_epoch:,} steps per "
            f"epoch, batch size {started.batch}{last}."
        )

    def _take_block(self, block: events.SeriesBlock) -> None:
        self.plots.add(block)
        self.instruments.add(block)
        self.controls.advance(block.step, block.seconds)

    def _activity_changed(self, changed: events.ActivityChanged) -> None:
        paused = changed.activity == "paused"
        self.controls.set_state("paused" if paused else "running")
        self.controls.say(
            "Paused: change live fields, take single steps, or resume." if paused else "Training…"
        )

    def _step_warned(self, warning: events.StepWarning) -> None:
        self.controls.say(f"Step {warning.step:,}: {warning.words}.")

    def _run_ended(self, ended: events.RunEnded) -> None:
        diverged = ended.status == "diverged"
        sentence = summary(ended)
        if self.recording.problem:
            sentence += " The recording is incomplete."
        self.controls.say(sentence, problem=diverged or bool(self.recording.problem))
        self.recording.show_with(
            f"The run diverged: {ended.reason}. Lower the learning rate, or clip the gradient by "
            "its norm."
            if diverged
            else ""
        )

    def _session_ended(self) -> None:
        self.experiment_panel.set_locked(False)
        self.controls.set_state("idle")
        self.plots.refresh()

    # --- experiments and stored runs --------------------------------------------------------------

    def show_stored(self, run_id: str) -> None:
        """Draw the curves of a stored run, as soon as they have been read."""
        self.stored_runs.read(run_id, self._show_curves)

    def _show_curves(self, curves: RunCurves) -> None:
        record = curves.record
        try:
            experiment = Experiment.from_toml(record.experiment, check=False)
        except OptLabError as error:
            self._show_problem(str(error))
            return
        self.plots.clear()
        self.shown_run.show_stored(record)
        self.time.show_stored(curves)
        self.diagnosis_panel.clear()
        if curves.diagnosis.measured:
            self.diagnosis_panel.show_findings(curves.diagnosis.findings, in_progress=False)
        self.plots.set_task(curves.task)
        self.plots.set_followed(record.tracked)
        self.plots.set_value_source(StoredValues([record.id]))
        self.plots.set_path_note(PATH_NOT_STORED)
        block = events.SeriesBlock(
            record.steps,
            record.seconds,
            {
                name: events.Series(values.steps, values.values[:, None], values.columns)
                for name, values in curves.series.items()
            },
        )
        self.plots.add(block)
        self.instruments.clear()
        self.instruments.set_tables(experiment.to_dict().get(INSTRUMENTS, {}))
        self.instruments.add(block)
        self.live_changes.show_log(curves.log, experiment)
        self.plots.refresh()
        self.controls.say(
            f"Showing “{printable(record.title)}”, {record.status} after {record.steps:,} steps."
        )

    def _show_problem(self, sentence: str) -> None:
        self.controls.say("")
        self.banner.show_sentence(sentence, problem=True)

    def show_runs(self) -> None:
        """Open the list of stored runs."""
        self.secondary_windows.show_runs(busy=self.bridge.active)

    def when_editable(self, act: Callable[..., object]) -> Callable[..., None]:
        """Return a function that calls ``act``, or says that a run is in progress."""

        def call(*arguments: object) -> None:
            if self.bridge.active:
                self.banner.show_sentence(
                    "A run is in progress. Stop it before editing the experiment."
                )
            else:
                act(*arguments)

        return call

    def show_page_of_selected(self, kind: str) -> None:
        """Open the page of the component that is selected in a section of the experiment."""
        self.secondary_windows.show_page(kind, self.experiment_panel.chosen(kind))

    def _open_preset(self, path: Path, start: bool) -> None:
        if self.files.load(path) and start:
            self.start()

    def _model_registered(self, name: str) -> None:
        self.experiment_panel.components["model"].refresh_choices()
        self.experiment_panel.pick("model", name)
        self.controls.say(f"Registered the model {name}, here and for the command line.")

    def _show_experiment(self, experiment: Experiment) -> None:
        self.experiment_panel.set_experiment(experiment)
        self.instruments.set_tables(self.experiment_panel.instruments())

    def _experiment_changed(self, experiment: Experiment | None) -> None:
        self.controls.set_startable(experiment is not None, self.experiment_panel.problem())
        first = self._start_when_checked
        if first is not None and not self.experiment_panel.pending:
            self._start_when_checked = None
            self._begin(first)

    def _request_preview(self, section: dict[str, object]) -> None:
        # No worker may start before the first paint.
        if self._was_shown:
            self.preview.ask(PreviewTask(section))

    # --- appearance -------------------------------------------------------------------------------

    def apply_theme(self) -> None:
        """Apply the theme to the widgets that do not draw from the palette."""
        self.plots.set_colors(theme.current().plots)
        self.instruments.set_colors(theme.current().plots)

    # --- opening and closing ----------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        """Begin what needs torch after the first paint."""
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            QTimer.singleShot(0, self, self._after_first_paint)

    def _after_first_paint(self) -> None:
        self._prewarmer.begin()
        self.experiment_panel.request_preview()
        self.stored_runs.look_for_interrupted()

    def _show_notice(self, sentence: str) -> None:
        self.banner.show_sentence(sentence, {"All runs…": self.show_runs}, problem=True)

    def _offer_interrupted(self, record: RunRecord) -> None:
        if self.bridge.active or self.stored_runs.reading:
            return
        self.banner.show_sentence(
            f"“{printable(record.title)}” was interrupted after {record.steps:,} steps. "
            "Everything up to there is saved.",
            {"Resume": lambda: self.resume(record.id), "All runs…": self.show_runs},
        )

    def close_without_asking(self) -> None:
        """Stop and save the run in progress and close; for requests from outside the window."""
        self._close_confirmed = True
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        """Ask about a run in progress and about edits; then stop the run, save it and close."""
        if not self._close_confirmed and not (
            (not self.bridge.active or may_stop_run(self))
            and self.files.may_discard_edits("closing")
        ):
            event.ignore()
            return
        # What is typed last is not looked up any more.
        self.experiment_panel.blockSignals(True)
        self.secondary_windows.close_all()
        self.bridge.shut_down()
        self.stored_runs.shut_down()
        self.time.shut_down()
        self.checks.shut_down()
        self.preview.shut_down()
        self._prewarmer.end()
        event.accept()
