"""Epochs, examples, evaluations and seconds of the run that the plots follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import QObject

from optlab.gui.bridge import RunBridge
from optlab.gui.plots.linked_plot import LinkedPlot
from optlab.tasks.run_scales import EVALUATIONS, RunScale
from optlab.tasks.stored_runs import RunCurves
from optlab.training import events
from optlab.training.control import SetValue
from optlab.training.events import SECONDS

_POINTS_OF_A_BLOCK = 8
"""Points that a block of values adds to a scale, about."""
_MAX_POINTS = 20_000
"""Points of a scale; beyond, every other one is dropped."""


class LiveScale(QObject):
    """Notes how far the run in progress is in each unit, and tells the plots.

    Args:
        bridge: of the run. plots: returns the plots, as they are now. parent: owner.
    """

    def __init__(
        self, bridge: RunBridge, plots: Callable[[], Sequence[LinkedPlot]], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._plots = plots
        self._scale = RunScale()
        bridge.on(events.SessionStarted, self._started)
        bridge.on(events.SeriesBlock, self._add)
        bridge.on(events.MessageApplied, self._applied)

    @property
    def scale(self) -> RunScale:
        """What is known of the run."""
        return self._scale

    def show_stored(self, curves: RunCurves) -> None:
        """Take over what is known of a stored run, which may be resumed."""
        self._set(curves.scale)

    def _set(self, scale: RunScale) -> None:
        self._scale = scale
        for plot in self._plots():
            plot.set_scale(scale)

    def _started(self, started: events.SessionStarted) -> None:
        # A resumed run and a fork go on where the curves that are shown end.
        before = self._scale if started.step else RunScale()
        self._set(
            RunScale(
                started.steps_per_epoch,
                (started.steps_per_epoch - 1) * started.batch + started.last_batch,
                started.batch,
                before.batches,
                before.seconds,
                before.evaluations,
                before.clock,
            )
        )

    def _add(self, block: events.SeriesBlock) -> None:
        scale = self._scale
        noted = block.series.get(SECONDS)
        if noted is not None and len(noted.steps):
            # The last one and some before: a block is drawn over a few pixels.
            chosen = slice(None, None, -max(1, len(noted.steps) // _POINTS_OF_A_BLOCK))
            steps, passed = noted.steps[chosen][::-1], noted.values[chosen, 0][::-1]
            scale.seconds.extend(zip(steps.astype(float).tolist(), passed.tolist(), strict=True))
        else:
            scale.seconds.append((float(block.step), block.seconds))
        evaluated = block.series.get(EVALUATIONS)
        if evaluated is not None and len(evaluated.steps):
            if not scale.evaluations:
                scale.evaluations.append((0.0, 0.0))
            value = float(np.asarray(evaluated.values)[-1].reshape(-1)[0])
            scale.evaluations.append((float(evaluated.steps[-1]), value))
        for points in (scale.seconds, scale.evaluations):
            if len(points) > _MAX_POINTS:
                del points[1:-1:2]

    def _applied(self, applied: events.MessageApplied) -> None:
        message = applied.message
        if not applied.problem and isinstance(message, SetValue) and message.path == "batches.size":
            self._scale.batches.append((applied.step, int(message.value)))
