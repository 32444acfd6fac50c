"""Views of the model in the main window: computed in a worker, for the step that is looked at.

Tiles say what they want to see (:class:`optlab.gui.plots.tiles.ShowsModel`). While a run is in
progress they follow its newest snapshot; with the handle of the timeline at a step, they show that
step. Only visible tiles are served, all of one step by one task.
"""

# A protocol is no concrete class, and isinstance accepts it all the same.
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from optlab.experiment import Experiment
from optlab.gui.bridge import RunBridge, TaskBridge, WorkerPrewarmer
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.gui.plots.tiles import ShowsModel, ShowsStep
from optlab.gui.time_controller import TimeController
from optlab.history.plan import Plan
from optlab.history.recomputation import Progress
from optlab.store import RunRecord
from optlab.tasks.model_view import ModelViews, View, ViewsAtStepTask, ViewsOfWeightsTask
from optlab.training import events
from optlab.training.snapshot import Snapshot

DELAY_MILLISECONDS = 120
"""Time for which the handle has to rest before a step is computed."""
LIVE_SHARE = 0.05
"""Share of the time that computing views may take beside a run: views are a worker of their own,
which leaves the rest of a core to the run.
"""
CANCELLED = "Cancelled: move the handle of the timeline to look at another step."
NOT_STORED = "This run is not stored, so only its newest weights can be seen."


_Seen = tuple[str, int | None, int | None, View]


@dataclass(frozen=True)
class _Asked:
    """What is being computed.

    Attributes:
        run_id: of the run. step: that is looked at; None for the newest. newest: step of the newest
            snapshot, where that is looked at. views: of the model.
    """

    run_id: str
    step: int | None
    newest: int | None
    views: tuple[View, ...] = ()

    def seen(self, view: View) -> _Seen:
        """Return what tells a view of these weights from any other."""
        return self.run_id, self.step, self.newest, view


class ModelViewController(QObject):
    """Keeps the tiles that show the model up to date.

    Args:
        bridge: of the run in progress.
        timeline: whose step is looked at.
        plots: has the tiles.
        prewarmer: whose workers compute.
        parent: owner.
    """

    def __init__(
        self,
        bridge: RunBridge,
        timeline: TimeController,
        plots: PlotsPanel,
        prewarmer: WorkerPrewarmer,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._run_id = self._experiment = ""
        self._step: int | None = None
        self._newest: Snapshot | None = None
        self._tiles: dict[int, ShowsStep] = {}
        self._asked: _Asked | None = None
        self._seen: dict[int, _Seen] = {}
        self._waiting = False
        self._not_before = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._request)
        self.work = TaskBridge(prewarmer.pool, self)
        self.work.answered.connect(self._answered)
        self.work.failed.connect(self._failed)
        self.work.dataChanged.connect(lambda sentence, _task: self._failed(sentence))
        bridge.on(events.SessionStarted, self._started)
        bridge.on(events.SnapshotTaken, self._taken)
        timeline.stepChanged.connect(self._look_at)
        plots.plotAdded.connect(self._added)
        for plot in plots.of(ShowsStep):
            self.add(plot)

    def _added(self, plot: object) -> None:
        if isinstance(plot, ShowsStep):
            self.add(plot)

    def add(self, tile: ShowsStep) -> None:
        """Serve a tile from now on, until it is deleted; one that is served already stays as it is."""
        key = id(tile)
        if key in self._tiles:
            return
        self._tiles[key] = tile
        if isinstance(tile, QObject):
            tile.destroyed.connect(lambda: self._drop(key))
        tile.set_step(self._run_id, self._step)
        if isinstance(tile, ShowsModel):
            tile.viewChanged.connect(self._schedule)
            tile.cancelRequested.connect(self.cancel)
            self._schedule()

    def _drop(self, key: int) -> None:
        self._tiles.pop(key, None)
        self._seen.pop(key, None)

    def _of_model(self, *, visible: bool = False) -> list[ShowsModel]:
        return [
            tile
            for tile in self._tiles.values()
            if isinstance(tile, ShowsModel)
            and (not visible or (isinstance(tile, QWidget) and tile.isVisible()))
        ]

    # --- the run that is shown --------------------------------------------------------------------

    def begin(self, experiment: Experiment) -> None:
        """Follow a run that is being started."""
        self._show("", experiment.to_toml())

    def show_stored(self, record: RunRecord) -> None:
        """Show a stored run, at its last step."""
        self._show(record.id, record.experiment)
        self._schedule()

    def clear(self) -> None:
        """Show no run."""
        self._show("", "")

    def _show(self, run_id: str, experiment: str) -> None:
        self._run_id, self._experiment = run_id, experiment
        self._newest, self._step, self._asked = None, None, None
        self._not_before = 0.0
        self._seen.clear()
        self.work.give_up()
        for tile in self._of_model():
            tile.clear()
        self._tell_step()

    def _started(self, _started: events.SessionStarted) -> None:
        self._run_id = next(iter(self._bridge.run_ids), "")
        self._tell_step()

    def _taken(self, taken: events.SnapshotTaken) -> None:
        if taken.run == 0 and self._experiment:
            self._newest = taken.snapshot
            if self._step is None:
                self._schedule(live=True)

    def _look_at(self, step: int | None) -> None:
        if step == self._step:
            return
        self._step = step
        self._tell_step()
        self._schedule()

    def _tell_step(self) -> None:
        for tile in self._tiles.values():
            tile.set_step(self._run_id, self._step)

    # --- computing --------------------------------------------------------------------------------

    def _schedule(self, *, live: bool = False) -> None:
        """Compute after a moment; of several changes in it the last one counts.

        Args:
            live: a run in progress has new weights, which may wait.
        """
        if not live:
            self._timer.start(DELAY_MILLISECONDS)
        elif not self._timer.isActive():
            wait = 1000.0 * (self._not_before - time.monotonic()) if self._bridge.active else 0.0
            self._timer.start(round(max(DELAY_MILLISECONDS, wait)))

    def _request(self) -> None:
        visible = self._of_model(visible=True)
        if not visible or not self._experiment:
            return
        newest, step = self._newest, self._step
        live = step is None and newest is not None
        if live and self.work.active and self._asked is not None and self._asked.step is None:
            # The result of an older snapshot comes first: a slow view is never starved.
            self._timer.start(DELAY_MILLISECONDS)
            return
        asked = _Asked(self._run_id, step, newest.step if live and newest else None)
        # What a tile shows already is not computed again because another one asks for more.
        missing = [tile for tile in visible if self._seen.get(id(tile)) != asked.seen(tile.view)]
        for tile in visible:
            if tile not in missing:
                tile.show_wait("")
        views = tuple(dict.fromkeys(tile.view for tile in missing))
        if not views:
            self._asked = None
            self.work.give_up()
        elif live and newest is not None:
            task = ViewsOfWeightsTask(
                self._experiment,
                newest.theta,
                newest.step,
                dict(newest.values),
                views,
                self._run_id,
                newest.state,
            )
            self._ask(replace(asked, views=views), task)
        elif self._run_id:
            self._ask(replace(asked, views=views), ViewsAtStepTask(self._run_id, step, views=views))
        elif step is not None:
            self._show_problem(missing, NOT_STORED)

    def _ask(self, asked: _Asked, task: ViewsOfWeightsTask | ViewsAtStepTask) -> None:
        self._asked, self._waiting = asked, False
        self.work.ask(task)

    def _waiting_tiles(self) -> list[ShowsModel]:
        """Return the visible tiles whose view is being computed."""
        views = () if self._asked is None else self._asked.views
        return [tile for tile in self._of_model(visible=True) if tile.view in views]

    def cancel(self) -> None:
        """End the wait for a step."""
        waiting, self._asked = self._waiting_tiles(), None
        self.work.give_up()
        self._show_problem(waiting, CANCELLED)

    def _answered(self, result: object) -> None:
        if self._asked is None:
            return
        match result:
            case Plan() if result.announcement:
                self._wait(result.announcement)
            case Progress() if self._waiting:
                self._wait(f"Computed again up to step {result.step:,}: {result.done:.0%}.")
            case ModelViews() if self._is_current(result):
                self._not_before = time.monotonic() + result.seconds * (1.0 / LIVE_SHARE - 1.0)
                self._show_views(result, self._asked)
            case _:
                pass

    def _is_current(self, result: ModelViews) -> bool:
        return result.run_id == self._run_id and self._step in (None, result.step)

    def _show_views(self, result: ModelViews, asked: _Asked) -> None:
        for tile in self._of_model():
            view = tile.view
            if view in result.views:
                tile.show_view(result.views[view], result.step, " ".join(result.words))
                self._seen[id(tile)] = asked.seen(view)
            elif view in result.refused:
                tile.show_problem(result.refused[view])
                self._seen[id(tile)] = asked.seen(view)

    def _show_problem(self, tiles: Sequence[ShowsModel], sentence: str) -> None:
        for tile in tiles:
            self._seen.pop(id(tile), None)
            tile.show_problem(sentence)

    def _wait(self, sentence: str) -> None:
        self._waiting = True
        for tile in self._waiting_tiles():
            tile.show_wait(sentence)

    def _failed(self, sentence: str) -> None:
        self._show_problem(self._waiting_tiles(), sentence)

    def shut_down(self) -> None:
        """Cancel what is being computed; later requests are ignored."""
        self._experiment = ""
        self._timer.stop()
        self.work.shut_down()
