"""The main window: runs, board and experiment side by side, the run's controls below.

The window decides nothing about training. It turns an experiment into a run through the bridge, and
the run's events into curves.

It is painted before its panels are built, and they are built in a few turns of the event loop.
Therefore this module imports nothing that is large: what the panels need is imported with them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QCloseEvent, QShowEvent

from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.core.lazy_module import LazyModule
from optlab.core.printable import printable
from optlab.gui import theme
from optlab.gui.manners.recent_files import RecentFiles
from optlab.gui.manners.session import Session
from optlab.gui.manners.window_geometry import WindowGeometry
from optlab.gui.menus import build_menus
from optlab.gui.window_frame import LARGE_MODULES, WindowFrame

if TYPE_CHECKING:
    from optlab.experiment import Experiment
    from optlab.gui import window_parts as parts
    from optlab.runners.train import RunnerChoice
    from optlab.store import RunRecord
    from optlab.training import control
else:
    control = LazyModule("optlab.training.control")
    parts = LazyModule("optlab.gui.window_parts")

DEFAULT_PRESET = "digits-mlp"

_UNPAINTED_MILLISECONDS = 1000
"""Time after which the panels are built although the window was not painted."""


class MainWindow(WindowFrame):
    """The main window of OptLab.

    Args:
        experiment: shown at first; by default the preset ``digits-mlp``.
        runner: where runs execute: ``auto``, ``thread`` or ``process``.
        at_once: whether to build the panels now, and not after the first paint.
        session: of which the window is restored, and in which it is kept; by default it begins like
            the first one and leaves nothing.

    Attributes:
        failure: why the panels could not be built after the first paint; the window is closed then.

    Signals: ``panelsBuilt()``: all panels are there.
    """

    panelsBuilt = Signal()

    def __init__(
        self,
        experiment: Experiment | None = None,
        runner: RunnerChoice = "auto",
        *,
        at_once: bool = True,
        session: Session | None = None,
    ) -> None:
        super().__init__()
        self.session = session or Session(stored=False)
        self.session.register("window", WindowGeometry(self))
        self.recent_files: RecentFiles
        self.failure: Exception | None = None
        self._runner = runner
        self._was_shown = self._begun = self._built = self._noticed = False
        self._close_confirmed = self._closed = False
        self.presets_menu = build_menus(self)
        self.places.wanted.connect(self._open_place)
        self.controls.startRequested.connect(self.start)
        self.controls.stepRequested.connect(self.step)
        self._stages = self._build(experiment)
        self._unpainted = QTimer(self, singleShot=True)
        self._unpainted.timeout.connect(self._begin_building)
        if at_once:
            self.complete()
        else:
            self.firstPainted.connect(lambda: QTimer.singleShot(0, self, self._begin_building))

    # --- building ---------------------------------------------------------------------------------

    def complete(self) -> None:
        """Build now what is not built yet: what the user asks for needs it."""
        try:
            for _ in self._stages:
                pass
        except Exception as error:
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self.close_without_asking()

    def _begin_building(self) -> None:
        self._unpainted.stop()
        if not self._begun:
            self._begun = True
            self._go_on()

    def _go_on(self) -> None:
        """Build the next part, and the others after the events that are waiting."""
        try:
            next(self._stages)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - the caller of the event loop raises it
            self._fail(error)
            return
        QTimer.singleShot(0, self, self._go_on)

    def _build(self, experiment: Experiment | None) -> Generator[None, None, None]:
        """Build the panels; between its parts the event loop may run."""
        for module in LARGE_MODULES:
            importlib.import_module(module)
            yield
        # Widgets are styled when they are complete, and not each time they get another parent.
        shown = experiment or parts.Experiment.load(paths.presets() / f"{DEFAULT_PRESET}.toml")
        with theme.unstyled():
            self._build_panels()
            self._connect_panels()
            self.apply_theme()
            self.show_experiment(shown)
            self.manners.restore(experiment)
        self._built = True
        self.panelsBuilt.emit()
        if self._was_shown:
            QTimer.singleShot(0, self, self._after_first_paint)

    def _build_panels(self) -> None:
        self._prewarmer = parts.WorkerPrewarmer()
        self.bridge = parts.RunBridge(self._prewarmer.pool, self)
        # One worker reads the user's data for both.
        turn = parts.Turn(self)
        self.checks = parts.TaskBridge(self._prewarmer.pool, self, turn)
        self.preview = parts.TaskBridge(self._prewarmer.pool, self, turn)
        self.stored_runs = parts.StoredRuns(self)
        self.secondary_windows = parts.SecondaryWindows(self._prewarmer, self, self._runner)
        self.experiment_panel = parts.ExperimentPanel()
        self.plots = parts.PlotsPanel()
        self.instruments = parts.InstrumentsPanel()
        self.diagnosis_panel = parts.DiagnosisPanel()
        self.place(self.experiment_panel, self.plots, self.diagnosis_panel)
        self.time = parts.TimeController(
            self.bridge, self.timeline, self.banner, self._prewarmer, self
        )
        self.diagnosis_controller = parts.DiagnosisController(
            self.bridge, self.experiment_panel, self.diagnosis_panel, self
        )
        self.live_changes = parts.LiveChanges(
            self.bridge, self.experiment_panel, self.instruments, self.plots, self.controls, self
        )
        self.files = parts.ExperimentFiles(
            self.experiment_panel, self.show_experiment, self.bridge, self.banner, self
        )
        self.copied = parts.CopiedExperiment(
            self.experiment_panel,
            parts.TaskBridge(self._prewarmer.pool, self),
            self.banner,
            self,
        )
        self.recording = parts.RecordingNotice(self.bridge, self.banner, self.controls, self)
        self.failures = parts.FailureNotice(
            self.bridge, self.banner, self.controls, self.recording, self
        )
        self.shown_run = parts.ShownRun(
            self.bridge,
            (self.plots.caption,),
            (self.plots, self.instruments),
            self,
        )
        self.dropped = parts.DroppedFiles(
            self, self.files.load, self.when_editable(self.secondary_windows.import_data)
        )
        self.hang_notice = parts.HangNotice(self.bridge, self.banner, self.controls, self)
        self.board = parts.BoardController(self)
        self.model_views = parts.ModelViewController(
            self.bridge, self.time, self.plots, self._prewarmer, self
        )
        self.before_run = parts.BeforeRunController(
            self.experiment_panel,
            self.plots,
            self._prewarmer,
            self.when_editable(self.experiment_panel.change),
            self,
        )
        self.drawing = parts.FrameDrawing(self.bridge, self)
        self.run_controller = parts.RunController(self, self._runner)
        self.beside = parts.BesideController(self)
        self.runs = parts.RunsController(self)
        self.run_drops = parts.RunDrops(self)
        self.manners = parts.Manners(self)
        self.contenders = parts.Contenders(self)

    def _connect_panels(self) -> None:
        panel, controls = self.experiment_panel, self.controls
        others = self.secondary_windows
        panel.experimentChanged.connect(self._experiment_changed)
        panel.pageRequested.connect(others.show_page)
        panel.previewRequested.connect(self._request_preview)
        panel.checkRequested.connect(
            lambda tables, fit_loss: self.checks.ask(parts.CheckTask(tables, fit_loss))
        )
        panel.instrumentRefused.connect(self.instruments.show_problem)
        self.checks.answered.connect(panel.show_check)
        self.checks.failed.connect(panel.show_check_problem)
        self.stored_runs.said.connect(controls.say)
        self.stored_runs.failed.connect(self.show_problem)
        self.stored_runs.interrupted.connect(self._offer_interrupted)
        self.stored_runs.noticed.connect(self._show_notice)
        self.runs.noticed.connect(self._show_notice)
        self.preview.answered.connect(panel.show_preview)
        self.preview.failed.connect(panel.show_preview_problem)
        self.diagnosis_controller.said.connect(controls.say)
        self.files.saved.connect(lambda path: controls.say(f"Saved to {path}."))
        others.presetPicked.connect(self._open_preset)
        others.componentPicked.connect(self.when_editable(panel.pick))
        others.dataPicked.connect(lambda section: panel.set_section("dataset", section))
        others.registered.connect(self._component_registered)
        others.runPicked.connect(self.show_stored)
        self.instruments.pageRequested.connect(others.show_page)
        self.time.connect_editor(panel)
        self.time.stepChanged.connect(self.plots.set_cursor)
        self.time.edit = self._edit_fork
        self.time.armed.connect(controls.set_forking)
        self.time.said.connect(controls.say)
        self.timeline.paceChanged.connect(controls.set_pace)
        self.time.failed.connect(lambda _sentence: controls.set_state("idle"))
        self.time.failed.connect(partial(controls.say, problem=True))
        self.diagnosis_controller.forkRequested.connect(partial(self.time.prepare, None))
        theme.notifier().themeChanged.connect(self.apply_theme)

    # --- the life of a run ------------------------------------------------------------------------

    def start(self) -> None:
        """Train the experiment that the editor shows."""
        self.complete()
        self.run_controller.begin(())

    def step(self) -> None:
        """Take one step of the run in progress, or start a run that pauses after its first step."""
        self.complete()
        if self.bridge.active:
            self.bridge.send(control.Advance(1))
        else:
            self.run_controller.begin((control.Advance(1),))

    def resume(self, run_id: str) -> None:
        """Resume a stored run, as soon as its curves have been read."""
        self.run_controller.resume(run_id)

    # --- experiments and stored runs --------------------------------------------------------------

    def show_stored(self, run_id: str) -> None:
        """Draw the curves of a stored run, as soon as they have been read.

        A run in progress goes on beside; one that goes on beside is followed again.
        """
        self.beside.look_at(run_id)

    def show_problem(self, sentence: str) -> None:
        """Show in the banner why something cannot be done."""
        self.controls.say("")
        self.banner.show_sentence(sentence, problem=True)

    def show_runs(self) -> None:
        """Show the stored runs."""
        self.runs.find()

    def when_editable(self, act: Callable[..., object]) -> Callable[..., None]:
        """Return a function that calls ``act``, or says that a run is in progress."""

        def call(*arguments: object) -> None:
            if self.bridge.active:
                self.banner.show_sentence(
                    "A run is in progress. Stop it before editing the experiment, or let it "
                    "continue in the background.",
                    {"New run": self.controls.newRunRequested.emit},
                )
            else:
                act(*arguments)

        return call

    def show_page_of_selected(self, kind: str) -> None:
        """Open the page of the component that is selected in a section of the experiment."""
        self.secondary_windows.show_page(kind, self.experiment_panel.chosen(kind))

    def _open_place(self, name: str) -> None:
        self.complete()
        self.secondary_windows.show_place(name)

    def _open_preset(self, path: Path, start: bool) -> None:
        if self.files.load(path) and start:
            self.start()

    def _component_registered(self, kind: str, name: str) -> None:
        self.experiment_panel.components[kind].refresh_choices()
        self.experiment_panel.pick(kind, name)
        self.controls.say(f"Registered the {kind} {name}, here and for the command line.")

    def _edit_fork(self, document: str, changes: Mapping[str, Any]) -> bool:
        in_progress = self.bridge.active
        if in_progress and not self.beside.set_aside():
            return False
        # What is trained is stored with its run, so that the editor may forget it.
        if not self.files.load_document(document, ask=not in_progress):
            return False
        try:
            if changes:
                self.experiment_panel.change(changes)
        except OptLabError as error:
            self.show_problem(str(error))
            return False
        return True

    def show_experiment(self, experiment: Experiment) -> None:
        """Show an experiment in the editor in place of the one before."""
        self.experiment_panel.set_experiment(experiment)
        self.instruments.set_tables(self.experiment_panel.instruments())

    def _experiment_changed(self, experiment: Experiment | None) -> None:
        self.controls.set_startable(experiment is not None, self.experiment_panel.problem())
        self.run_controller.begin_when_checked()

    def _request_preview(self, section: dict[str, object]) -> None:
        # No worker may start before the first paint.
        if self._was_shown:
            self.preview.ask(parts.PreviewTask(section))

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
            if self._built:
                QTimer.singleShot(0, self, self._after_first_paint)
            else:
                # A window that is minimized from the start is not painted.
                self._unpainted.start(_UNPAINTED_MILLISECONDS)

    def _after_first_paint(self) -> None:
        if self._closed:  # before it came to that: another window would keep the program going
            return
        self._prewarmer.begin()
        self.experiment_panel.request_preview()
        self.stored_runs.look_for_interrupted()
        self.runs.begin()
        self.manners.after_first_paint()

    def _show_notice(self, sentence: str) -> None:
        self._noticed = True
        self.banner.show_sentence(sentence, {"All runs…": self.show_runs}, problem=True)

    def _offer_interrupted(self, record: RunRecord) -> None:
        # What was done about a damaged store matters more, and leads to all runs, too.
        if self.bridge.active or self.stored_runs.reading or self._noticed:
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

    def _may_close(self) -> bool:
        """Ask one question about all that closing ends, and return the answer."""
        found = parts.InProgress(
            self.bridge.active + len(self.beside.runs.runs),
            self.secondary_windows.study_in_progress,
        )
        if not self.experiment_panel.edited:
            return parts.may_stop(self, found)
        stops = f"{found.words}. Closing stops {'them' if found.several else 'it'}. {found.kept}"
        return self.files.may_discard_edits("closing", stops if found else "")

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        """Ask about a run in progress and about edits; then stop the run, save it and close."""
        if not self._built or self._closed:
            self._unpainted.stop()
            self._stages.close()
            event.accept()
            return
        asks = self.session.preferences.ask_before_closing and not self._close_confirmed
        if asks and not self._may_close():
            event.ignore()
            return
        self._closed = True
        # What is typed last is not looked up any more.
        self.experiment_panel.blockSignals(True)
        self.manners.shut_down()
        self.contenders.shut_down()
        self.secondary_windows.close_all()
        self.beside.shut_down()
        self.bridge.shut_down()
        self.stored_runs.shut_down()
        self.runs.shut_down()
        self.time.shut_down()
        self.model_views.shut_down()
        self.before_run.shut_down()
        self.checks.shut_down()
        self.preview.shut_down()
        self.board.shut_down()
        self.copied.shut_down()
        self._prewarmer.end()
        event.accept()
