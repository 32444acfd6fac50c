"""The unit of the horizontal axis of a plot over steps, and the curves' steps in it."""

from __future__ import annotations

import numpy as np

from optlab.gui.plots.curve_rows import Floats
from optlab.gui.plots.pyramid import Pyramid
from optlab.tasks.run_scales import RunScale, StepScale, XUnit

OWN = ""
"""Stands for the run that a plot follows."""


class XScales:
    """Converts the steps of runs into the unit of the axis.

    Attributes:
        unit: of the axis.
    """

    def __init__(self) -> None:
        self.unit: XUnit = "steps"
        self._runs: dict[str, RunScale] = {}
        self._found: dict[tuple[str, XUnit], tuple[object, StepScale | None]] = {}

    def set(self, run: str, scale: RunScale | None) -> None:
        """Set what is known of a run; None to forget it."""
        self._found = {key: value for key, value in self._found.items() if key[0] != run}
        if scale is None:
            self._runs.pop(run, None)
        else:
            self._runs[run] = scale

    def of(self, run: str) -> StepScale | None:
        """Return the scale of a run in the unit; None where it is not known."""
        known = self._runs.get(run) or RunScale()
        # What is known of a run in progress grows.
        stamp = (id(known), len(known.seconds), len(known.evaluations), len(known.batches))
        cached = self._found.get((run, self.unit))
        if cached is None or cached[0] != stamp:
            cached = (stamp, known.scale(self.unit))
            self._found[run, self.unit] = cached
        return cached[1]

    def known(self, run: str) -> bool:
        """Return whether the steps of a run are known in the unit."""
        return self.unit == "steps" or self.of(run) is not None

    def to_axis(self, run: str, step: float) -> float:
        """Return a step of a run on the axis; the step itself where nothing is known."""
        scale = None if self.unit == "steps" else self.of(run)
        return step if scale is None else float(scale.at(step))

    def to_step(self, run: str, position: float) -> float:
        """Return the step of a run at a position on the axis."""
        scale = None if self.unit == "steps" else self.of(run)
        return position if scale is None else float(scale.back(position))

    def points(
        self,
        run: str,
        samples: Pyramid,
        view: tuple[float, float],
        columns: int,
        *,
        log_x: bool,
        positive: bool,
    ) -> tuple[Floats, Floats]:
        """Return points ``(x, y)``, ``[n]`` each, of a run's samples in a view of the axis.

        Args:
            run: its id. samples: of the curve. view: ends of the view, in the unit.
            columns, log_x, positive: as in :meth:`Pyramid.view`.
        """
        first, last = view
        if self.unit == "steps":
            return samples.view(first, last, columns, log_x=log_x, positive=positive)
        scale = self.of(run)
        if scale is None:
            return np.empty(0), np.empty(0)
        ends = scale.back([first, last])
        x, y = samples.view(
            float(np.floor(ends[0])),
            float(np.ceil(ends[1])),
            columns,
            log_x=log_x,
            positive=positive,
        )
        return scale.at(x), y
