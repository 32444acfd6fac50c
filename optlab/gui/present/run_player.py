"""A scene that is a run, or the run that the window shows: plots that are fed by the same events."""

# A protocol is no concrete class, and isinstance accepts it all the same.
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np
from PySide6.QtWidgets import QWidget

from optlab.core.fields import did_you_mean
from optlab.gui.bridge import TaskBridge
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.curve import Floats
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.run_series_plot import RunSeriesPlot
from optlab.gui.plots.tiles import (
    DependsOnTask,
    DrawsPath,
    DrawsSeries,
    FollowsWeights,
    TilePlot,
    tile_key,
    tile_plots,
)
from optlab.gui.present.player import Player
from optlab.gui.present.prediction_layer import KEY, PredictionLayer
from optlab.gui.shown_run import PATH_NOT_STORED
from optlab.gui.stored_curves import block_of
from optlab.tasks.scenes.prediction import difference
from optlab.tasks.scenes.scene import Predict, Show
from optlab.tasks.stored_runs import RunCurves, RunCurvesTask
from optlab.training.events import SeriesBlock, WeightPath

P = TypeVar("P")

_LAST = 1e18
"""A step after the last one."""


class RunPlayer(Player):
    """Plots of a run, which somebody else starts, pauses and feeds.

    Args:
        show: which plots, and how they are drawn. predict: what is asked before the run; None for
            nothing. steps: budget of the run, for the axes that are drawn on. request: called with
            ``toggle`` or ``again``.
    """

    def __init__(
        self, show: Show, predict: Predict | None, steps: int, request: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._show, self._predict, self._steps, self._request = show, predict, steps, request
        self._waiting: list[SeriesBlock] | None = None
        self._reading = TaskBridge(None, self)
        self._reading.answered.connect(self._read)
        self._reading.failed.connect(lambda _sentence: self._catch_up(None))
        self.plots: list[TilePlot] = []
        known = {tile_key(kind): kind for kind in tile_plots()}
        for name in show.tiles or ("loss",):
            if name in known:
                plot = known[name]()
                self.plots.append(plot)
                self.add_tile(plot.tile_title, cast(QWidget, plot))
            else:
                sentence = PlainLabel(
                    f"There is no plot “{name}”{did_you_mean(name, known)}; plots are: "
                    f"{', '.join(known)}."
                )
                sentence.setWordWrap(True)
                self.add_tile(name, sentence)
        self.layer: PredictionLayer | None = None
        self._apply_axes()
        self._ask()

    # --- setting up -------------------------------------------------------------------------------

    def _apply_axes(self) -> None:
        for plot in self._of(CurvePlot):
            if self._show.x != "as usual":
                plot.set_log_x(self._show.x == "log")
            if self._show.y != "as usual":
                plot.set_log_y(self._show.y == "log")
        self._choose_curves()

    def _choose_curves(self) -> None:
        """Show the curves that the scene names, in the plots that have any of them."""
        wanted = set(self._show.curves)
        for plot in self._of(RunSeriesPlot):
            if wanted & plot.series:
                for key in plot.keys:
                    if key != KEY:
                        shown = key.rpartition(":")[0] in wanted
                        plot.set_curve_visible(key, shown)
                        plot.legend.entry(key).setVisible(shown)

    def _ask(self) -> None:
        """Put the empty axes and a layer over the plot that has the curve."""
        plot = self._asked_plot()
        if plot is None or self._predict is None:
            return
        last = self._predict.to or float(self._steps)
        first = 1.0 if plot.log_x else 0.0
        plot.set_frame((first, last, self._predict.low, self._predict.high))
        self.layer = PredictionLayer(plot)

    def _asked_plot(self) -> RunSeriesPlot | None:
        wanted = "" if self._predict is None else self._predict.curve
        return next((one for one in self._of(RunSeriesPlot) if wanted in one.series), None)

    # --- the run ----------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Start, pause, or let the run go on."""
        self._request("toggle")

    def again(self) -> None:
        """Start anew."""
        self._request("again")

    def begin(self) -> None:
        """Prepare for the first values of a run: what was drawn stays."""
        self._waiting = None
        sketch = None if self.layer is None else self.layer.sketch
        if self.layer is not None:
            self.layer.finish()
        plot = self._asked_plot()
        drawn = None if plot is None or sketch is None else self._drawn(plot)
        for one in self.plots:
            one.clear()
        for path in self._of(DrawsPath):
            path.set_path_note("")
        if plot is not None and drawn is not None and len(drawn[0]):
            plot.replace(KEY, *drawn)

    def catch_up(self, run_id: str, kept: Sequence[SeriesBlock] = ()) -> None:
        """Read what a run has measured up to now; what arrives meanwhile waits.

        Args:
            run_id: of the run. kept: its newest blocks, which may not be stored yet.
        """
        self._waiting = list(kept)
        self._reading.ask(RunCurvesTask(run_id))

    def _read(self, curves: RunCurves) -> None:
        for plot in self._of(FollowsWeights):
            plot.set_followed(curves.record.tracked)
        for dependent in self._of(DependsOnTask):
            dependent.set_task(curves.task)
        for path in self._of(DrawsPath):
            if curves.path is not None:
                path.show_path(curves.path)
            elif not curves.record.going:
                path.set_path_note(PATH_NOT_STORED)
        self._catch_up(block_of(curves))

    def _catch_up(self, first: SeriesBlock | None) -> None:
        waiting, self._waiting = self._waiting or [], None
        for block in [*([first] if first is not None else []), *waiting]:
            self.add(block)
        self.refresh()

    def set_followed(self, names: Sequence[str]) -> None:
        """Name the followed weights."""
        for plot in self._of(FollowsWeights):
            plot.set_followed(names)

    def set_task(self, task: str) -> None:
        """Set the learning task."""
        for plot in self._of(DependsOnTask):
            plot.set_task(task)

    def add(self, block: SeriesBlock) -> None:
        """Add the values of a block, series ``[n, R]``."""
        if self._waiting is not None:
            self._waiting.append(block)
            return
        for plot in self._of(DrawsSeries):
            plot.add(block)
        self._choose_curves()

    def show_path(self, path: WeightPath) -> None:
        """Show the path of the weights up to now."""
        for plot in self._of(DrawsPath):
            plot.show_path(path)

    def mark(self, step: int, text: str) -> None:
        """Mark a step at which something was changed."""
        for plot in self._of(DrawsSeries):
            plot.mark(step, text)

    def difference(self) -> str:
        """Return in words how far the run is from what was drawn, or ""."""
        plot = self._asked_plot()
        if plot is None or self._predict is None or KEY not in plot.keys:
            return ""
        drawn, key = self._drawn(plot), f"{self._predict.curve}:0"
        if len(drawn[0]) < 2 or key not in plot.keys:
            return ""
        measured = plot.curve(key).samples.samples(-1.0, _LAST)
        found = (measured.steps.astype(np.float64), measured.values)
        return difference(drawn, found, log=plot.log_y)

    @staticmethod
    def _drawn(plot: CurvePlot) -> tuple[Floats, Floats]:
        samples = plot.curve(KEY).samples.samples(-1.0, _LAST)
        return samples.steps.astype(np.float64), samples.values

    # --- drawing ----------------------------------------------------------------------------------

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of a projector."""
        for plot in self.plots:
            plot.set_colors(colors)

    def refresh(self) -> None:
        """Draw what has arrived."""
        for plot in self.plots:
            plot.refresh()

    def shut_down(self) -> None:
        """Stop reading; the run goes on."""
        self._reading.shut_down()

    def _of(self, kind: type[P]) -> list[P]:
        return [plot for plot in self.plots if isinstance(plot, kind)]
