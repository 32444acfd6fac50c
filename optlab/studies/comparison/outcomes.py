"""What is measured of a run, from its stored series and the figures of its end.

For every measure that is no time to a target, ``reached`` of the section says which values are
better: those below, or those above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optlab.studies.comparison.fields import TO_TARGET, Measured
from optlab.studies.comparison.readings import (
    SeriesValues,
    Values,
    agreement,
    one_number,
    order,
    when,
)
from optlab.training.events import SECONDS

Unit = {
    "steps_to": "steps",
    "epochs_to": "epochs",
    "evaluations_to": "gradient evaluations",
    "seconds_to": "seconds",
}
EVALUATIONS = "gradient_evaluations"
"""Series of the gradients evaluated so far; a run without it evaluates one a step."""
_CLOCKS = {"evaluations_to": EVALUATIONS, "seconds_to": SECONDS}
"""What is measured until a target → series that counts it."""


PAIRED = ("when", "agreement")
"""What is measured by two series."""


@dataclass(frozen=True)
class Outcome:
    """What one run came to: an interval that holds its value.

    Attributes:
        low, high: equal where the value is known. A run that did not reach the target has
            ``high`` infinite, and ``low`` is how long it was watched. Of a run that diverged both
            are infinite until :func:`bounded`.
    """

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether the value is known."""
        return self.low == self.high and math.isfinite(self.low)


UNKNOWN = Outcome(-math.inf, math.inf)


def series_of(measured: Measured) -> tuple[str, ...]:
    """Return the names of the series that an outcome is computed from."""
    if measured.what in _CLOCKS:
        return measured.of, _CLOCKS[measured.what]
    return (measured.of, measured.other) if measured.what in PAIRED else (measured.of,)


def outcome(
    measured: Measured,
    series: Mapping[str, Values],
    final: Mapping[str, float | None],
    *,
    diverged: bool,
    steps: int,
    seconds: float,
    steps_per_epoch: int,
) -> Outcome:
    """Return what a run came to.

    Args:
        series: by name; at least those of :func:`series_of` that the run has.
        final: figures of its end. diverged: whether it ended so. steps, seconds: those it took.
            steps_per_epoch: steps of a pass through its training set.
    """
    series = {name: one_number(values, measured.part) for name, values in series.items()}
    if measured.what in TO_TARGET:
        reached = _to_target(measured, series, steps, seconds, steps_per_epoch)
        return reached if reached.known or not diverged else Outcome(math.inf, math.inf)
    value = math.nan
    if measured.what == "final":
        value = _number(final.get(measured.of))
        if math.isnan(value):
            value = _last(series.get(measured.of))
    elif (values := series.get(measured.of)) is not None:
        value = _of_series(measured, values, series)
    value *= measured.times
    if diverged and measured.what != "best":
        worst = math.inf if measured.reached == "below" else -math.inf
        return Outcome(worst, worst)
    return Outcome(value, value) if math.isfinite(value) else UNKNOWN


def bounded(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of a study, those of diverged runs no better than the worst known one.

    How bad a run that diverged would have been is not known. It counts as a value of at least the
    worst one of the runs that did not diverge, as one that is censored there.
    """
    known = [end for one in outcomes for end in (one.low, one.high) if math.isfinite(end)]
    worst_high = Outcome(max(known), math.inf) if known else UNKNOWN
    worst_low = Outcome(-math.inf, min(known)) if known else UNKNOWN
    return [
        worst_high if one.low == math.inf else worst_low if one.high == -math.inf else one
        for one in outcomes
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _last(values: Values | None) -> float:
    return math.nan if values is None or not len(values.values) else float(values.values[-1])


def _of_series(measured: Measured, series: Values, every: Mapping[str, Values]) -> float:
    if measured.what in PAIRED:
        return _of_two(measured, series, every.get(measured.other))
    steps, values = series.steps, series.values
    finite = np.isfinite(values)
    if measured.what in ("mean", "order"):
        finite &= steps >= measured.step
    steps, values = steps[finite], values[finite]
    if not len(values):
        return math.nan
    if measured.what == "at":
        before = np.searchsorted(steps, measured.step, side="right")
        return float(values[before - 1]) if before else math.nan
    if measured.what == "best":
        return float(values.min() if measured.reached == "below" else values.max())
    return {"first": _first, "order": order, "mean": _mean}[measured.what](
        SeriesValues(steps, values)
    )


def _of_two(measured: Measured, series: Values, other: Values | None) -> float:
    if other is None:
        return math.nan
    if measured.what == "agreement":
        return agreement(series, other)
    return when(series, other, measured.target, below=measured.reached == "below")


def _first(series: Values) -> float:
    return float(series.values[0])


def _mean(series: Values) -> float:
    """Return the area under a curve divided by its length."""
    steps, values = series.steps, series.values
    if len(values) == 1 or steps[-1] == steps[0]:
        return float(values[-1])
    return float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))


def _to_target(
    measured: Measured,
    series: Mapping[str, Values],
    steps: int,
    seconds: float,
    steps_per_epoch: int,
) -> Outcome:
    """Return how long it took to reach the target, or how long it was watched in vain."""
    values = series.get(measured.of)
    hit: int | None = None
    if values is not None and len(values.values):
        with np.errstate(invalid="ignore"):
            reached = (
                values.values <= measured.target
                if measured.reached == "below"
                else values.values >= measured.target
            )
        where = np.flatnonzero(reached)
        hit = int(values.steps[where[0]]) if len(where) else None
    step = steps if hit is None else hit
    if measured.what == "evaluations_to":
        taken = _counted(series.get(EVALUATIONS), step, float(step))
    elif measured.what == "seconds_to":
        # A run of an older version has no time of each step; they take about the same time.
        even = seconds * step / steps if steps else 0.0
        taken = seconds if hit is None else _counted(series.get(SECONDS), step, even)
    else:
        taken = step / (steps_per_epoch if measured.what == "epochs_to" else 1)
    return Outcome(taken, math.inf if hit is None else taken)


def _counted(counted: Values | None, step: int, otherwise: float) -> float:
    """Return the value of a count after the first ``step`` steps; ``otherwise`` where it is not kept."""
    if counted is None or not len(counted.values):
        return otherwise
    before = int(np.searchsorted(counted.steps, step, side="right"))
    return float(counted.values[before - 1]) if before else 0.0
