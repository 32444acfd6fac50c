"""Time: the timeline, the pace, forks and explained steps of the run that the window shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from optlab.core.errors import OptLabError
from optlab.core.limits import UNTIL_STOPPED
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.experiment.sections import Budget
from optlab.gui.bridge import RunBridge, TaskBridge, WorkerPrewarmer
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.time_panel import TimePanel
from optlab.history.plan import Plan
from optlab.history.recomputation import Progress
from optlab.store import StoredSeries
from optlab.tasks.history import ForkTask, PreparedFork, RunAtStep, RunAtStepTask
from optlab.tasks.stored_runs import RunCurves
from optlab.training import events
from optlab.training.control import Message, SetPace, SetValue

if TYPE_CHECKING:
    from optlab.gui.step_window import StepWindow


class TimeController(QObject):
    """Keeps the time panel up to date, and prepares forks in a worker.

    A fork is prepared in two parts: the experiment as it was at the step comes into the editor, and
    when it is started, the state of the step is reached. A run in progress goes on beside.

    Args:
        bridge: of the run in progress.
        panel: the time panel.
        banner: says that the next start is a fork.
        prewarmer: whose workers prepare forks.
        parent: owner.

    Attributes:
        edit: shows TOML with changes in the editor, and returns whether it is shown; a run in
            progress goes on beside.

    Signals: ``stepChanged(object)``: the step that is looked at, None for the newest.
    ``forkReady(object)``: a :class:`~optlab.tasks.history.PreparedFork` that can be started.
    ``said(str)``, ``failed(str)``: a sentence. ``armed(bool)``: whether the next start is a fork.
    """

    stepChanged = Signal(object)
    forkReady = Signal(object)
    said = Signal(str)
    failed = Signal(str)
    armed = Signal(bool)

    def __init__(
        self,
        bridge: RunBridge,
        panel: TimePanel,
        banner: Banner,
        prewarmer: WorkerPrewarmer,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._bridge, self._panel, self._banner = bridge, panel, banner
        self._prewarmer = prewarmer
        self._run_id = self._title = ""
        self._origin: tuple[str, int] | None = None
        self._changes: Mapping[str, Any] = {}
        self._reaching = False
        self._window: StepWindow | None = None
        self.edit: Callable[[str, Mapping[str, Any]], bool] = lambda _document, _changes: False
        self.work = TaskBridge(prewarmer.pool, self)
        self.work.answered.connect(self._answered)
        self.work.failed.connect(self._failed)
        self.work.dataChanged.connect(lambda sentence, _task: self._failed(sentence))
        panel.stepChanged.connect(self.stepChanged)
        panel.stepMeant.connect(self._meant)
        panel.forkRequested.connect(self.prepare)
        panel.explainRequested.connect(self._explain)
        panel.paceChanged.connect(lambda rate: bridge.send(SetPace(rate)))
        bridge.on(events.SessionStarted, self._started)
        bridge.on(events.SeriesBlock, lambda block: panel.set_last(block.step))
        bridge.on(events.SnapshotTaken, lambda taken: panel.add_snapshot(taken.snapshot.step))
        bridge.on(events.MessageApplied, self._applied)
        bridge.on(events.RunEnded, lambda ended: panel.set_last(ended.steps))
        bridge.sessionEnded.connect(lambda: panel.set_idle(bool(self._run_id)))

    def connect_editor(self, editor: ExperimentPanel) -> None:
        """Keep *Until I stop* and the budget of the editor alike."""
        former = [Budget().steps]

        def show(experiment: Experiment | None) -> None:
            if experiment is not None:
                steps = experiment.budget.steps
                self._panel.set_endless(steps >= UNTIL_STOPPED)
                if steps < UNTIL_STOPPED:
                    former[0] = steps

        def choose(endless: bool) -> None:
            try:
                editor.change({"budget.steps": UNTIL_STOPPED if endless else former[0]})
            except OptLabError as error:
                self._panel.set_endless(not endless)
                self.failed.emit(str(error))

        editor.experimentChanged.connect(show)
        self._panel.endlessChanged.connect(choose)

    @property
    def run_id(self) -> str:
        """Id of the run that is shown, or "" while it has none."""
        return self._run_id

    @property
    def first_messages(self) -> tuple[Message, ...]:
        """Messages to a run before its first step."""
        rate = self._panel.steps_per_second
        return (SetPace(rate),) if rate else ()

    # --- the run that is shown --------------------------------------------------------------------

    def begin(self, title: str) -> None:
        """Show a run that is being started."""
        self._run_id, self._title = "", title
        self._panel.clear()
        self._panel.set_idle(False)
        self.stepChanged.emit(None)

    def clear(self) -> None:
        """Show that there is no run."""
        self.begin("")
        self._panel.set_idle(True)

    def set_first(self, step: int) -> None:
        """Let the timeline begin at an earlier step than the session of the run did."""
        self._panel.set_first(step)

    def show_stored(self, curves: RunCurves) -> None:
        """Show a stored run."""
        record = curves.record
        self._run_id, self._title = record.id, record.title
        self._panel.begin(record.at, max(record.steps, record.at))
        self._panel.track.set_marks(
            curves.kept, [at for at, message in curves.log if isinstance(message, SetValue)]
        )
        self._panel.set_idle(not self._bridge.active)
        self.stepChanged.emit(None)

    def _started(self, started: events.SessionStarted) -> None:
        self._run_id = next(iter(self._bridge.run_ids), "")
        snapshots, changes = self._panel.track.snapshots, self._panel.track.changes
        self._panel.begin(started.step, started.step)
        self._panel.track.set_marks(tuple(snapshots), tuple(changes))
        self._panel.set_idle(False)

    def _applied(self, applied: events.MessageApplied) -> None:
        if isinstance(applied.message, SetValue) and not applied.problem:
            self._panel.add_change(applied.step)

    # --- forks ------------------------------------------------------------------------------------

    def prepare(self, step: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """Bring the experiment of the shown run at a step into the editor, to fork it.

        Args:
            step: number of completed steps; None for the last good one.
            changes: path → value, applied to the experiment.
        """
        if not self._run_id:
            return
        self._changes = dict(changes or {})
        self.said.emit("Reading the experiment as it was at this step…")
        self.work.ask(RunAtStepTask(self._run_id, step, in_progress=self._bridge.active))

    def disarm(self) -> None:
        """Let the next start be a new run."""
        if self._origin is not None:
            self._origin = None
            self.armed.emit(False)

    def takes_over(self, experiment: Experiment) -> bool:
        """Begin to prepare a fork as this experiment, if the next start is one.

        Returns:
            Whether it is; then :attr:`forkReady` or :attr:`failed` follows.
        """
        if self._origin is None:
            return False
        run_id, step = self._origin
        sentence = f"Reaching step {step:,} of “{printable(self._title)}”…"
        self.said.emit(sentence)
        self._banner.show_sentence(sentence, {"Cancel": self._give_up})
        self._reaching = True
        self.work.ask(ForkTask(run_id, step, experiment=experiment.to_toml()))
        return True

    def _give_up(self) -> None:
        # What has been found when it stops is not used.
        self._reaching = False
        self.work.give_up()
        self._failed("The fork was cancelled; Start tries again.")

    def _answered(self, result: object) -> None:
        match result:
            case RunAtStep():
                self._arm(result)
            case Plan() if result.announcement:
                self._banner.show_sentence(result.announcement, {"Cancel": self._give_up})
            case Progress():
                self.said.emit(f"Computed again up to step {result.step:,}: {result.done:.0%}.")
            case PreparedFork() if self._reaching:
                self._reaching = False
                self.disarm()
                self._banner.hide()
                self.forkReady.emit(result)
            case _:
                pass

    def _failed(self, sentence: str) -> None:
        self._reaching = False
        if self._origin is not None:
            self._show_armed()
        self.failed.emit(sentence)

    def _arm(self, at: RunAtStep) -> None:
        step, record = at.plan.step, at.plan.record
        if self._run_id != record.id:
            # Another run has been shown since.
            return
        in_progress = self._bridge.active
        if not self.edit(at.experiment, self._changes):
            self.said.emit("")
            return
        if in_progress:
            # The timeline goes on showing what is forked, the plots have its curves beside.
            self._run_id, self._title = record.id, record.title
            self._panel.begin(record.at, at.plan.last)
            self._panel.set_idle(True)
        self._origin = (record.id, step)
        self._panel.look_at(step)
        self.armed.emit(True)
        self._show_armed()
        self.said.emit(f"Ready to fork at step {step:,}.")

    def _show_armed(self) -> None:
        assert self._origin is not None
        self._banner.show_sentence(
            f"Start forks “{printable(self._title)}” at step {self._origin[1]:,}: change the "
            "experiment as you like; weights, optimizer state and batches go on from there.",
            {"New run instead": self.disarm},
        )

    # --- one step explained -----------------------------------------------------------------------

    def _explain(self, step: int) -> None:
        # Imported when it is needed: importing its parts would delay the main window.
        from optlab.gui.step_window import StepWindow

        if self._window is None:
            self._window = StepWindow(self._prewarmer)
            self._window.closed.connect(self._forget_window)
        self._window.show()
        self._window.raise_()
        self._window.explain(self._run_id, step)

    def _meant(self, step: int) -> None:
        if self._window is not None and self._run_id:
            self._window.explain(self._run_id, step)

    def _forget_window(self) -> None:
        self._window = None

    def shut_down(self) -> None:
        """Cancel what is being prepared, and close the window of steps."""
        self.work.shut_down()
        if self._window is not None:
            self._window.close()


def until(curves: RunCurves, step: int) -> RunCurves:
    """Return the curves of a run up to a step, as a fork continues them."""
    series = {
        name: StoredSeries(
            values.steps[values.steps <= step], values.values[values.steps <= step], values.columns
        )
        for name, values in curves.series.items()
        if (values.steps <= step).any()
    }
    return dataclasses.replace(
        curves,
        record=dataclasses.replace(curves.record, steps=step),
        series=series,
        log=tuple(entry for entry in curves.log if entry[0] <= step),
        kept=tuple(kept for kept in curves.kept if kept <= step),
        # That of the fork begins where it forks.
        path=None,
    )
