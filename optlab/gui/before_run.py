"""What the window shows of an experiment before it runs: computed in a worker when a tile asks."""

# A protocol is no concrete class, and isinstance accepts it all the same.
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QObject

from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.gui.plots.tiles import AsksOfExperiment
from optlab.gui.turn import Turn
from optlab.tasks.task import Task


class BeforeRunController(QObject):
    """Serves the tiles that ask something of the experiment in the editor.

    Args:
        panel: the editor.
        plots: has the tiles.
        prewarmer: whose workers compute.
        apply: puts changes, path → value, into the editor, or says why not.
        parent: owner.
    """

    def __init__(
        self,
        panel: ExperimentPanel,
        plots: PlotsPanel,
        prewarmer: WorkerPrewarmer,
        apply: Callable[[Mapping[str, Any]], object],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._prewarmer, self._apply = prewarmer, apply
        self._experiment: Experiment | None = None
        self._bridges: list[TaskBridge] = []
        self._closed = False
        # One worker serves all of them.
        self._turn = Turn(self)
        self._tiles: dict[int, AsksOfExperiment] = {}
        panel.experimentChanged.connect(self._changed)
        plots.plotAdded.connect(self._added)
        for plot in plots.of(AsksOfExperiment):
            self.add(plot)

    def _added(self, plot: object) -> None:
        if isinstance(plot, AsksOfExperiment):
            self.add(plot)

    def add(self, tile: AsksOfExperiment) -> None:
        """Serve a tile from now on, until it is deleted; one that is served already stays as it is."""
        key = id(tile)
        if key in self._tiles:
            return
        work = TaskBridge(self._prewarmer.pool, self, self._turn)
        self._tiles[key] = tile
        self._bridges.append(work)
        work.answered.connect(tile.show_result)
        work.failed.connect(tile.show_problem)
        work.finished.connect(tile.show_end)
        tile.taskRequested.connect(lambda task: self._ask(work, task))
        tile.cancelRequested.connect(work.give_up)
        tile.changesRequested.connect(lambda changes: self._put(tile, changes))
        if isinstance(tile, QObject):
            tile.destroyed.connect(work.shut_down)
            tile.destroyed.connect(lambda: self._tiles.pop(key, None))
        tile.set_experiment(self._experiment)

    def _ask(self, work: TaskBridge, task: Task) -> None:
        if not self._closed:
            work.ask(task)

    def _changed(self, experiment: Experiment | None) -> None:
        self._experiment = experiment
        for tile in self._tiles.values():
            tile.set_experiment(experiment)

    def _put(self, tile: AsksOfExperiment, changes: Mapping[str, Any]) -> None:
        try:
            self._apply(changes)
        except OptLabError as error:
            tile.show_problem(str(error))

    def shut_down(self) -> None:
        """Cancel what is being computed; later requests are ignored."""
        self._closed = True
        for work in self._bridges:
            work.shut_down()
