"""The main window: the experiment on the left, its plots in the middle, the run's controls below.

The window decides nothing about training. It turns an experiment into a run through the bridge, and
the run's events into curves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QMainWindow, QMessageBox, QSplitter, QTabWidget, QVBoxLayout, QWidget

from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.bridge import RunBridge, TaskBridge, WorkerPrewarmer
from optlab.gui.diagnosis_controller import DiagnosisController
from optlab.gui.experiment_files import ExperimentFiles
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.hang_notice import HangNotice
from optlab.gui.instruments.instruments_panel import InstrumentsPanel
from optlab.gui.menus import build_menus
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar
from optlab.gui.panels.diagnosis_panel import DiagnosisPanel
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.gui.plots.value_export import StoredValues
from optlab.gui.recording_notice import RecordingNotice
from optlab.gui.secondary_windows import SecondaryWindows
from optlab.gui.summary import summary
from optlab.runners.train import RunnerChoice
from optlab.store import Store
from optlab.tasks.preview import PreviewTask
from optlab.training import events
from optlab.training.control import (
    Advance,
    Message,
    Pause,
    Resume,
    SetValue,
    Stop,
    SwitchInstrument,
)

DEFAULT_PRESET = "digits-mlp"

_PATH_NOT_STORED = (
    "Not stored: the path and the largest-moving weights are computed from all weights while a run "
    "is in progress. Start the experiment again to see them."
)
_PATH_RESUMED = (
    "The path up to step {step:,} is not stored. It is drawn again from there once the run has "
    "taken a few steps."
)


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
        self._prewarmer = WorkerPrewarmer()
        self.bridge = RunBridge(self._prewarmer.pool, self)
        self.preview = TaskBridge(self._prewarmer.pool, self)
        self.secondary_windows = SecondaryWindows(self._prewarmer, self)
        self.experiment_panel = ExperimentPanel()
        self.plots = PlotsPanel()
        self.instruments = InstrumentsPanel()
        self.banner = Banner()
        self.diagnosis_panel = DiagnosisPanel()
        self.controls = ControlBar()
        self.setAcceptDrops(True)
        self._build_layout()
        self.diagnosis_controller = DiagnosisController(
            self.bridge, self.experiment_panel, self.diagnosis_panel, self
        )
        self.files = ExperimentFiles(
            self.experiment_panel, self._show_experiment, self.bridge, self.banner, self
        )
        self.recording = RecordingNotice(self.bridge, self.banner, self.controls, self)
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
        column.setSpacing(8)
        column.addWidget(self.banner)
        self.views = QTabWidget()
        self.views.setDocumentMode(True)
        self.views.addTab(scrollable(self.plots), "Run")
        self.views.addTab(self.instruments, "Instruments")
        column.addWidget(self.views, 1)
        column.addWidget(self.diagnosis_panel)
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
        panel.liveValueChanged.connect(lambda path, value: bridge.send(SetValue(path, value)))
        panel.pageRequested.connect(others.show_page)
        panel.previewRequested.connect(self._request_preview)
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
        self.instruments.switched.connect(self._instrument_switched)
        self.instruments.pageRequested.connect(others.show_page)
        self.views.currentChanged.connect(lambda _index: self.instruments.refresh())
        theme.notifier().themeChanged.connect(self.apply_theme)

    def _connect_run(self) -> None:
        bridge = self.bridge
        bridge.on(events.SessionStarted, self._session_started)
        bridge.on(events.SeriesBlock, self._take_block)
        bridge.on(events.WeightPath, self.plots.take_path)
        bridge.on(events.InstrumentImage, self.instruments.take_picture)
        bridge.on(events.InstrumentCosts, self.instruments.take_costs)
        bridge.on(events.ActivityChanged, self._activity_changed)
        bridge.on(events.MessageApplied, self._message_applied)
        bridge.on(events.StepWarning, self._step_warned)
        bridge.on(events.RunEnded, self._run_ended)
        bridge.on(events.SessionFailed, self._session_failed)
        bridge.frameEnded.connect(self.plots.refresh)
        bridge.frameEnded.connect(self.instruments.refresh)
        bridge.sessionEnded.connect(self._session_ended)

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

    def resume(self, run_id: str) -> None:
        """Resume a stored run."""
        try:
            with Store.open() as store:
                document = store.run(run_id).experiment
            if not self.files.load_document(document):
                return
            self.show_stored(run_id)
            self.bridge.resume(run_id, self._runner)
            self.diagnosis_controller.begin(self.experiment_panel.experiment())
        except OptLabError as error:
            self.banner.show_sentence(str(error), problem=True)
            return
        self._show_starting()

    def _begin(self, first: tuple[Message, ...]) -> None:
        try:
            experiment = self.experiment_panel.experiment()
            self.plots.clear()
            self.plots.set_path_note("")
            self.instruments.clear()
            self.plots.set_task(experiment.target_shape().task)
            self.bridge.start(experiment, self._runner, first)
            self.diagnosis_controller.begin(experiment)
        except OptLabError as error:
            self.controls.say(str(error), problem=True)
            return
        self._show_starting()

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
            self.plots.set_path_note(_PATH_RESUMED.format(step=started.step))
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
        self.plots.take(block)
        self.instruments.take(block)
        self.controls.advance(block.step, block.seconds)

    def _activity_changed(self, changed: events.ActivityChanged) -> None:
        paused = changed.activity == "paused"
        self.controls.set_state("paused" if paused else "running")
        self.controls.say(
            "Paused: change live fields, take single steps, or resume." if paused else "Training…"
        )

    def _step_warned(self, warning: events.StepWarning) -> None:
        self.controls.say(f"Step {warning.step:,}: {warning.words}.")

    def _instrument_switched(self, name: str, values: dict[str, Any] | None) -> None:
        problem = self.experiment_panel.set_instrument(name, values)
        if problem:
            self.instruments.show_problem(name, problem)
        elif self.bridge.active:
            self.bridge.send(SwitchInstrument(name, values))

    def _message_applied(self, applied: events.MessageApplied) -> None:
        if applied.problem and isinstance(applied.message, SwitchInstrument):
            self.instruments.show_problem(applied.message.name, applied.problem)
        elif isinstance(applied.message, SwitchInstrument) and applied.message.reason:
            self.experiment_panel.set_instrument(applied.message.name, None)
            self.instruments.show_problem(applied.message.name, applied.message.reason)
            self.controls.say(applied.message.reason, problem=True)
        elif applied.problem:
            self.controls.say(applied.problem, problem=True)
        elif isinstance(applied.message, SetValue):
            path, value = applied.message.path, applied.message.value
            field = self.experiment_panel.field(path)
            self.plots.mark(applied.step, f"{field.symbol or field.label} {value:g}")
            self.controls.say(f"{path} is {value:g} from step {applied.step + 1:,} on.")

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

    def _session_failed(self, failed: events.SessionFailed) -> None:
        report = f"{failed.message}\n\n{failed.detail}"
        self.controls.say("The run failed.", problem=True)
        self.banner.show_sentence(
            f"{self.recording.problem} {failed.message}".strip(),
            {"Details…": lambda: self.secondary_windows.show_machine(report)}
            if failed.detail
            else {},
            problem=True,
        )

    def _session_ended(self) -> None:
        self.experiment_panel.set_locked(False)
        self.controls.set_state("idle")
        self.plots.refresh()

    # --- experiments and stored runs --------------------------------------------------------------

    def show_stored(self, run_id: str) -> None:
        """Draw the curves of a stored run."""
        try:
            with Store.open() as store:
                record = store.run(run_id)
                series = store.series(record.id)
                messages = [message for _, message in store.controls(record.id)]
                experiment = Experiment.from_toml(record.experiment)
        except OptLabError as error:
            self.banner.show_sentence(str(error), problem=True)
            return
        self.plots.clear()
        self.diagnosis_panel.clear()
        self.plots.set_task(experiment.target_shape().task)
        self.plots.set_followed(record.tracked)
        self.plots.set_value_source(StoredValues([record.id]))
        self.plots.set_path_note(_PATH_NOT_STORED)
        block = events.SeriesBlock(
            record.steps,
            record.seconds,
            {
                name: events.Series(values.steps, values.values[:, None], values.columns)
                for name, values in series.items()
            },
        )
        self.plots.take(block)
        self.instruments.clear()
        self.instruments.set_tables(experiment.to_dict().get(INSTRUMENTS, {}))
        self.instruments.take(block)
        for message in messages:
            if isinstance(message, SwitchInstrument) and message.reason:
                self.instruments.show_problem(message.name, message.reason)
        self.plots.refresh()
        self.controls.say(
            f"Showing “{record.title}”, {record.status} after {record.steps:,} steps."
        )

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

    def _request_preview(self, section: dict[str, object]) -> None:
        # No worker may start before the first paint.
        if self._was_shown:
            self.preview.ask(PreviewTask(section))

    # --- appearance -------------------------------------------------------------------------------

    def apply_theme(self) -> None:
        """Apply the theme to the widgets that do not draw from the palette."""
        self.plots.set_colors(theme.current().plots)
        self.instruments.set_colors(theme.current().plots)

    # --- dropped files ----------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # Qt's name
        """Accept a file: an experiment is opened, any other file is imported as data."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # Qt's name
        """Open or import the file: see :meth:`dragEnterEvent`."""
        path = Path(event.mimeData().urls()[0].toLocalFile())
        event.acceptProposedAction()

        def open_path() -> None:
            if path.suffix == ".toml":
                self.files.load(path)
            else:
                self.when_editable(self.secondary_windows.import_data)(str(path))

        # The sender waits until the drop is over; a dialog would keep it waiting.
        QTimer.singleShot(0, self, open_path)

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
        try:
            with Store.open() as store:
                interrupted = [record for record in store.runs() if record.status == "interrupted"]
        except OptLabError as error:
            self.banner.show_sentence(str(error), problem=True)
            return
        if interrupted:
            newest = interrupted[0]
            self.banner.show_sentence(
                f"“{newest.title}” was interrupted after {newest.steps:,} steps. "
                "Everything up to there is saved.",
                {"Resume": lambda: self.resume(newest.id), "All runs…": self.show_runs},
            )

    def close_without_asking(self) -> None:
        """Stop and save the run in progress and close; for requests from outside the window."""
        self._close_confirmed = True
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        """Ask while a run is in progress; then stop it, save it and close."""
        if self.bridge.active and not self._close_confirmed and not self._confirm_close():
            event.ignore()
            return
        self.secondary_windows.close_all()
        self.bridge.shut_down()
        self.preview.shut_down()
        self._prewarmer.end()
        event.accept()

    def _confirm_close(self) -> bool:
        box = QMessageBox(
            QMessageBox.Icon.Question,
            "A run is in progress",
            "A run is in progress. Stop it and close? It is saved and can be resumed later.",
            QMessageBox.StandardButton.Cancel,
            self,
        )
        stop = box.addButton("Stop and close", QMessageBox.ButtonRole.AcceptRole)
        box.exec()
        confirmed = box.clickedButton() is stop
        box.deleteLater()
        return confirmed
