"""The main window: the experiment on the left, its plots in the middle, the run's controls below.

The window decides nothing about training. It turns an experiment into a run through the bridge, and
the run's events into curves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QMainWindow,
    QMenu,
    QMessageBox,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from optlab import __version__
from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.core.files import write_atomically
from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.bridge import RunBridge, TaskBridge, WorkerPrewarmer
from optlab.gui.diagnosis_controller import DiagnosisController
from optlab.gui.instruments.instruments_panel import InstrumentsPanel
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar
from optlab.gui.panels.diagnosis_panel import DiagnosisPanel
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.gui.presets_menu import PresetsMenu
from optlab.gui.recording_notice import RecordingNotice
from optlab.gui.secondary_windows import SecondaryWindows
from optlab.gui.summary import summary
from optlab.runners.train import Asked
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
FILE_KINDS = "Experiments (*.toml);;All files (*)"


class MainWindow(QMainWindow):
    """The one window of OptLab.

    Args:
        experiment: shown at first; by default the preset ``digits-mlp``.
        runner: ``auto``, ``thread`` or ``process``: where runs execute.
    """

    def __init__(self, experiment: Experiment | None = None, runner: Asked = "auto") -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        self.resize(1360, 860)
        self._runner = runner
        self._file: Path | None = None
        self._shown_once = False
        self._asked = False
        self._warmth = WorkerPrewarmer()
        self.bridge = RunBridge(self._warmth.pool, self)
        self.preview = TaskBridge(self._warmth.pool, self)
        self.secondary_windows = SecondaryWindows(self._warmth, self)
        self.experiment_panel = ExperimentPanel()
        self.plots = PlotsPanel()
        self.instruments = InstrumentsPanel()
        self.banner = Banner()
        self.note = DiagnosisPanel()
        self.controls = ControlBar()
        self.setAcceptDrops(True)
        self._build_layout()
        self.diagnosis_controller = DiagnosisController(
            self.bridge, self.experiment_panel, self.note, self
        )
        self._build_menus()
        self._connect()
        self.apply_theme()
        self._show_experiment(
            experiment or Experiment.load(paths.presets() / f"{DEFAULT_PRESET}.toml")
        )
        self._set_title()

    # --- building -----------------------------------------------------------------------------------------------------------

    def _build_layout(self) -> None:
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(8, 8, 8, 0)
        column.setSpacing(8)
        column.addWidget(self.banner)
        self.views = QTabWidget()
        self.views.setDocumentMode(True)
        self.views.addTab(self.plots, "Run")
        self.views.addTab(self.instruments, "Instruments")
        column.addWidget(self.views, 1)
        column.addWidget(self.note)
        column.addWidget(self.controls)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(self.experiment_panel)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([430, 930])
        self.setCentralWidget(split)

    def _build_menus(self) -> None:
        bar = self.menuBar()
        file_menu = bar.addMenu("&File")
        self._action(file_menu, "&Open experiment…", self.open_file, QKeySequence.StandardKey.Open)
        self.presets_menu = PresetsMenu(self.load_file, self)
        self._action(file_menu, "&Gallery…", self.secondary_windows.show_gallery, "Ctrl+G")
        file_menu.addMenu(self.presets_menu)
        self._action(
            file_menu,
            "&Import data…",
            lambda: self._unless_busy(self.secondary_windows.import_data),
            "Ctrl+I",
        )
        self._action(
            file_menu,
            "Register a &model…",
            lambda: self._unless_busy(self.secondary_windows.register_model),
        )
        self._action(
            file_menu, "&Save experiment as…", self.save_file, QKeySequence.StandardKey.Save
        )
        file_menu.addSeparator()
        self._action(file_menu, "&Runs…", self.show_runs, "Ctrl+R")
        file_menu.addSeparator()
        self._action(file_menu, "&Quit", self.close, QKeySequence.StandardKey.Quit)
        tools_menu = bar.addMenu("&Instruments")
        self._action(tools_menu, "&Surfaces…", self.secondary_windows.show_surfaces, "Ctrl+Shift+S")
        self._action(
            tools_menu, "&Loss landscape…", self.secondary_windows.show_landscape, "Ctrl+L"
        )
        self._action(tools_menu, "&Benches…", self.secondary_windows.show_benches, "Ctrl+B")
        view_menu = bar.addMenu("&View")
        group = QActionGroup(self)
        for name in get_args(theme.Choice):
            action = self._action(
                view_menu, f"{name.capitalize()} colors", partial(theme.choose, name)
            )
            action.setCheckable(True)
            action.setChecked(name == theme.choice())
            group.addAction(action)
        help_menu = bar.addMenu("&Help")
        self._action(help_menu, "&Catalogue…", self.secondary_windows.show_catalogue, "Ctrl+K")
        help_menu.addSeparator()
        for kind, words in (
            ("optimizer", "Page of this &optimizer"),
            ("initializer", "Page of this &initializer"),
            ("loss", "Page of this &loss"),
        ):
            self._action(help_menu, words, partial(self._show_chosen_page, kind))
        help_menu.addSeparator()
        self._action(help_menu, "&This machine…", self.secondary_windows.show_machine)
        self._action(help_menu, "&About OptLab", self._show_about)

    def _connect(self) -> None:
        panel, bridge, controls = self.experiment_panel, self.bridge, self.controls
        panel.experimentChanged.connect(self._experiment_changed)
        panel.liveValueChanged.connect(lambda path, value: bridge.send(SetValue(path, value)))
        panel.pageRequested.connect(self.secondary_windows.show_page)
        self.diagnosis_controller.said.connect(self.controls.say)
        others = self.secondary_windows
        others.presetPicked.connect(self._open_preset)
        others.componentPicked.connect(
            lambda kind, name: self._unless_busy(lambda: panel.pick(kind, name))
        )
        others.dataPicked.connect(lambda section: panel.set_section("dataset", section))
        others.modelRegistered.connect(self._model_registered)
        others.resumeAsked.connect(self.resume)
        others.runPicked.connect(self.show_stored)
        others.experimentPicked.connect(self._open_stored)
        panel.previewRequested.connect(self._request_preview)
        self.preview.answered.connect(panel.show_preview)
        self.preview.failed.connect(panel.show_preview_problem)
        controls.startRequested.connect(self.start)
        controls.pauseRequested.connect(lambda: bridge.send(Pause()))
        controls.resumeRequested.connect(lambda: bridge.send(Resume()))
        controls.stepRequested.connect(self.step)
        controls.stopRequested.connect(self._stop)
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
        self.instruments.switched.connect(self._instrument_switched)
        self.instruments.pageRequested.connect(self.secondary_windows.show_page)
        self.views.currentChanged.connect(lambda _index: self.instruments.refresh())
        self.recording = RecordingNotice(bridge, self.banner, controls, self)
        bridge.frameEnded.connect(self.plots.refresh)
        bridge.frameEnded.connect(self.instruments.refresh)
        bridge.sessionEnded.connect(self._session_ended)
        theme.notifier().themeChanged.connect(self.apply_theme)

    def _action(
        self,
        menu: QMenu,
        text: str,
        act: Callable[[], object],
        shortcut: QKeySequence.StandardKey | str | None = None,
    ) -> QAction:
        action = QAction(text, self)
        if shortcut is not None:
            action.setShortcut(QKeySequence(shortcut))
        action.triggered.connect(lambda _checked=False: act())
        menu.addAction(action)
        return action

    # --- the life of a run ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Train the experiment that the editor shows."""
        self._begin(())

    def step(self) -> None:
        """Take one step: of the run that is going, or as the first of a new one, which then holds."""
        if self.bridge.active:
            self.bridge.send(Advance(1))
        else:
            self._begin((Advance(1),))

    def resume(self, run_id: str) -> None:
        """Go on with a stored run."""
        try:
            with Store.open() as store:
                self._show_experiment(Experiment.from_toml(store.run(run_id).experiment))
            self._file = None
            self._set_title()
            self.show_stored(run_id)
            self.bridge.resume(run_id, self._runner)
            self.diagnosis_controller.begin(self.experiment_panel.experiment())
        except OptLabError as error:
            self.banner.show_sentence(str(error), problem=True)
            return
        self._going()

    def _begin(self, first: tuple[Message, ...]) -> None:
        try:
            experiment = self.experiment_panel.experiment()
            self.plots.clear()
            self.instruments.clear()
            self.plots.set_task(experiment.target_shape().task)
            self.bridge.start(experiment, self._runner, first)
            self.diagnosis_controller.begin(experiment)
        except OptLabError as error:
            self.controls.say(str(error), problem=True)
            return
        self._going()

    def _going(self) -> None:
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
        self.controls.begin(started.steps, started.step, started.device_name)
        self.controls.set_state("running")
        last = (
            f", the last of an epoch {started.last_batch}"
            if started.last_batch != started.batch
            else ""
        )
        self.controls.say(
            f"Training {started.parameters:,} parameters: {started.steps_per_epoch:,} steps an epoch, batches of {started.batch}{last}."
        )

    def _take_block(self, block: events.SeriesBlock) -> None:
        self.plots.take(block)
        self.instruments.take(block)
        self.controls.advance(block.step, block.seconds)

    def _activity_changed(self, changed: events.ActivityChanged) -> None:
        paused = changed.activity == "paused"
        self.controls.set_state("paused" if paused else "running")
        self.controls.say(
            "Paused: change what you like, take single steps, or resume." if paused else "Training…"
        )

    def _step_warned(self, warning: events.StepWarning) -> None:
        self.controls.say(f"Step {warning.step:,}: {warning.words}.")

    def _instrument_switched(self, name: str, values: dict[str, Any] | None) -> None:
        problem = self.experiment_panel.set_instrument(name, values)
        if problem:
            self.instruments.say(name, problem)
        elif self.bridge.active:
            self.bridge.send(SwitchInstrument(name, values))

    def _message_applied(self, applied: events.MessageApplied) -> None:
        if applied.problem and isinstance(applied.message, SwitchInstrument):
            self.instruments.say(applied.message.name, applied.problem)
        elif applied.problem:
            self.controls.say(applied.problem, problem=True)
        elif isinstance(applied.message, SetValue):
            field = self.experiment_panel.field(applied.message.path)
            self.plots.mark(
                applied.step, f"{field.symbol or field.label} {applied.message.value:g}"
            )
            self.controls.say(
                f"{applied.message.path} is {applied.message.value:g} from step {applied.step + 1:,} on."
            )

    def _run_ended(self, ended: events.RunEnded) -> None:
        diverged = ended.status == "diverged"
        sentence = summary(ended)
        if self.recording.problem:
            sentence += " Not recorded to its end."
        self.controls.say(sentence, problem=diverged or bool(self.recording.problem))
        self.recording.show_with(
            f"The run diverged: {ended.reason}. Lower the learning rate, or clip the gradient by its norm."
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

    # --- experiments and stored runs ----------------------------------------------------------------------------------------------

    def open_file(self) -> None:
        """Ask for an experiment file and show it."""
        name, _ = QFileDialog.getOpenFileName(self, "Open experiment", "", FILE_KINDS)
        if name:
            self.load_file(Path(name))

    def load_file(self, path: Path) -> bool:
        """Show the experiment of a file and return whether it is shown; what is wrong with it is
        said in a sentence.
        """
        if self.bridge.active:
            self.banner.show_sentence("A run is going; stop it before you open another experiment.")
            return False
        return self._open(lambda: Experiment.load(path), path)

    def _open_stored(self, document: str) -> None:
        self._open(lambda: Experiment.from_toml(document), None)

    def _open(self, read: Callable[[], Experiment], file: Path | None) -> bool:
        try:
            self._show_experiment(read())
        except OptLabError as error:
            self.banner.show_sentence(str(error), problem=True)
            return False
        self.banner.hide()
        self._file = file
        self._set_title()
        return True

    def save_file(self) -> None:
        """Ask for a place and write the experiment there."""
        name, _ = QFileDialog.getSaveFileName(
            self, "Save experiment", str(self._file or "experiment.optlab.toml"), FILE_KINDS
        )
        if name:
            self.write_file(Path(name))

    def write_file(self, path: Path) -> None:
        """Write the experiment that the editor shows."""
        try:
            write_atomically(path, self.experiment_panel.experiment().to_toml().encode())
        except OptLabError as error:
            self.banner.show_sentence(str(error), problem=True)
            return
        self._file = path
        self._set_title()
        self.controls.say(f"Saved to {path}.")

    def show_stored(self, run_id: str) -> None:
        """Draw the curves of a stored run."""
        try:
            with Store.open() as store:
                record = store.run(run_id)
                series = store.series(record.id)
                experiment = Experiment.from_toml(record.experiment)
        except OptLabError as error:
            self.banner.show_sentence(str(error), problem=True)
            return
        self.plots.clear()
        self.note.clear()
        self.plots.set_task(experiment.target_shape().task)
        self.plots.set_followed(record.tracked)
        block = events.SeriesBlock(
            record.steps,
            record.seconds,
            {
                name: events.Series(s.steps, s.values[:, None], s.columns)
                for name, s in series.items()
            },
        )
        self.plots.take(block)
        self.instruments.clear()
        self.instruments.set_tables(experiment.to_dict().get(INSTRUMENTS, {}))
        self.instruments.take(block)
        self.plots.refresh()
        self.controls.say(
            f"Showing “{record.title}”, {record.status} after {record.steps:,} steps."
        )

    def show_runs(self) -> None:
        """Open the list of stored runs."""
        self.secondary_windows.show_runs(busy=self.bridge.active)

    def _unless_busy(self, act: Callable[[], None]) -> None:
        """Do what changes the experiment, unless a run is going."""
        if self.bridge.active:
            self.banner.show_sentence("A run is going; stop it before you change the experiment.")
        else:
            act()

    def _open_preset(self, path: Path, start: bool) -> None:
        if self.load_file(path) and start:
            self.start()

    def _model_registered(self, name: str) -> None:
        self.experiment_panel.components["model"].refresh_choices()
        self.experiment_panel.pick("model", name)
        self.controls.say(f"Registered: {name} is a model now, here and on the command line.")

    def _show_chosen_page(self, kind: str) -> None:
        self.secondary_windows.show_page(kind, self.experiment_panel.chosen(kind))

    def _show_experiment(self, experiment: Experiment) -> None:
        self.experiment_panel.set_experiment(experiment)
        self.instruments.set_tables(self.experiment_panel.instruments())

    def _experiment_changed(self, experiment: Experiment | None) -> None:
        self.controls.set_startable(experiment is not None, self.experiment_panel.problem())

    def _request_preview(self, section: dict[str, object]) -> None:
        # Before the first paint nothing may start a worker.
        if self._shown_once:
            self.preview.ask(PreviewTask(section))

    def _set_title(self) -> None:
        self.setWindowTitle(f"{self._file.name} – OptLab" if self._file else "OptLab")

    # --- appearance ------------------------------------------------------------------------------------------------------------------

    def apply_theme(self) -> None:
        """Follow the theme in what does not follow the palette by itself."""
        self.plots.set_colors(theme.current().plots)
        self.instruments.set_colors(theme.current().plots)

    def _show_about(self) -> None:
        QMessageBox.about(
            self,
            "About OptLab",
            f"<b>OptLab {__version__}</b><p>A laboratory in which people see deep-learning optimization happen.</p>"
            "<p>Free software under the MIT license.</p>",
        )

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # Qt's name
        """Files can be dropped: experiments are opened, anything else is looked at as data."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # Qt's name
        """See :meth:`dragEnterEvent`."""
        path = Path(event.mimeData().urls()[0].toLocalFile())
        event.acceptProposedAction()
        if path.suffix == ".toml":
            self.load_file(path)
        else:
            # The sender waits until the drop is over; a dialog would keep it waiting.
            QTimer.singleShot(
                0,
                self,
                lambda: self._unless_busy(lambda: self.secondary_windows.import_data(str(path))),
            )

    # --- beginning and end -----------------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        """Let the first paint happen, then begin what needs torch."""
        super().showEvent(event)
        if not self._shown_once:
            self._shown_once = True
            QTimer.singleShot(0, self, self._after_first_paint)

    def _after_first_paint(self) -> None:
        self._warmth.begin()
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
                f"“{newest.title}” was interrupted after {newest.steps:,} steps. Nothing that it had reached is lost.",
                {"Resume": lambda: self.resume(newest.id), "All runs…": self.show_runs},
            )

    def close_without_asking(self) -> None:
        """Save what is going and end; for a request that comes from outside the window."""
        self._asked = True
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        """Ask once while a run is going; then save it and end."""
        if self.bridge.active and not self._asked and not self._may_close():
            event.ignore()
            return
        self.secondary_windows.close_all()
        self.bridge.shut_down()
        self.preview.shut_down()
        self._warmth.end()
        event.accept()

    def _may_close(self) -> bool:
        box = QMessageBox(
            QMessageBox.Icon.Question,
            "A run is going",
            "A run is going. Stop it and close? It keeps what it has reached, and you can resume it later.",
            QMessageBox.StandardButton.Cancel,
            self,
        )
        stop = box.addButton("Stop and close", QMessageBox.ButtonRole.AcceptRole)
        box.exec()
        agreed = box.clickedButton() is stop
        box.deleteLater()
        return agreed
