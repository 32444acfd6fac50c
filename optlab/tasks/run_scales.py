"""Horizontal axes of the curves of a run: its steps in epochs, examples, evaluations or seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.store import RunRecord, SnapshotRecord, StoredSeries
from optlab.training.control import Message, SetValue
from optlab.training.events import SECONDS

XUnit = Literal["steps", "epochs", "evaluations", "examples", "seconds"]
X_UNITS: tuple[XUnit, ...] = get_args(XUnit)
X_LABELS: Mapping[XUnit, str] = {
    "steps": "Steps",
    "epochs": "Epochs",
    "evaluations": "Gradient evaluations",
    "examples": "Examples",
    "seconds": "Seconds",
}
EVALUATIONS = "gradient_evaluations"
"""Series of the gradients evaluated so far; a run without it evaluates one a step."""
_BATCH_SIZE = "batches.size"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StepScale:
    """A piecewise linear map from completed steps to another unit, and back.

    Attributes:
        steps: ``[k]``, ascending. values: ``[k]``, what they are in the unit, not descending.
            Beyond the ends the first and the last piece go on.
    """

    steps: Floats
    values: Floats

    @classmethod
    def of(cls, steps: ArrayLike, values: ArrayLike) -> StepScale:
        """Return the map through points ``[k]``, which are made strictly ascending.

        Raises:
            ValueError: there are fewer than two points.
        """
        at = np.asarray(steps, dtype=np.float64)
        to = np.maximum.accumulate(np.asarray(values, dtype=np.float64))
        # Without a flat piece the map can be inverted.
        rising = np.concatenate([[True], (np.diff(at) > 0.0) & (np.diff(to) > 0.0)])
        at, to = at[rising], to[rising]
        if len(at) < 2:
            raise ValueError("a scale needs two points that differ")
        return cls(at, to)

    def at(self, steps: ArrayLike) -> Floats:
        """Return steps ``[n]`` in the unit."""
        return _through(self.steps, self.values, np.asarray(steps, dtype=np.float64))

    def back(self, values: ArrayLike) -> Floats:
        """Return values ``[n]`` of the unit in steps."""
        return _through(self.values, self.steps, np.asarray(values, dtype=np.float64))


def _through(x: Floats, y: Floats, at: Floats) -> Floats:
    inside = np.interp(at, x, y)
    before = y[0] + (at - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
    after = y[-1] + (at - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    return np.where(at < x[0], before, np.where(at > x[-1], after, inside))


@dataclass(eq=False)
class RunScale:
    """What is known of a run to convert its steps.

    Attributes:
        epoch_steps, epoch_examples: steps of a pass through the training set, and its examples; 0
            where they are not known.
        batch: examples of a batch at the beginning.
        batches: step → size of the batches from there on, in order.
        seconds: steps and the seconds taken up to them, in order.
        clock: steps ``[k]`` and seconds ``[k]`` as they were noted at every step, or at so many that
            no screen shows the difference; ``seconds`` count before and after them only.
        evaluations: steps and the gradients evaluated up to them; empty where each step has one.
    """

    epoch_steps: int = 0
    epoch_examples: int = 0
    batch: int = 0
    batches: list[tuple[int, int]] = field(default_factory=list)
    seconds: list[tuple[float, float]] = field(default_factory=list)
    evaluations: list[tuple[float, float]] = field(default_factory=list)
    clock: tuple[Floats, Floats] = field(default_factory=lambda: (np.empty(0), np.empty(0)))

    def going_on(self, before: RunScale) -> RunScale:
        """Return this scale with the clock of what was read before, whose steps come earlier."""
        (old_steps, old), (steps, new) = before.clock, self.clock
        kept = old_steps < steps[0] if len(steps) else np.ones(len(old_steps), dtype=bool)
        joined = np.concatenate([old_steps[kept], steps]), np.concatenate([old[kept], new])
        return dataclasses.replace(self, clock=_at_most(*joined))

    def scale(self, unit: XUnit) -> StepScale | None:
        """Return the map from steps to a unit; None where it is not known.

        Seconds are known where they were noted, and linear in between.
        """
        match unit:
            case "steps":
                return StepScale(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
            case "evaluations":
                return _scale(self.evaluations or [(0.0, 0.0), (1.0, 1.0)])
            case "seconds":
                return self._time()
            case "epochs" | "examples" if self.epoch_steps and self.epoch_examples:
                return self._passes(self.epoch_examples if unit == "examples" else 1)
            case _:
                return None

    def _time(self) -> StepScale | None:
        at, passed = self.clock
        first, last = (at[0], at[-1]) if len(at) else (np.inf, np.inf)
        before = [(0.0, 0.0), *(one for one in self.seconds if one[0] < first)]
        points = np.concatenate(
            [before, np.stack([at, passed], axis=1), _pairs(self.seconds, after=last)]
        )
        return _scale(points)

    def _passes(self, of_an_epoch: int) -> StepScale | None:
        """Return the map to passes through the training set, times a number."""
        rate = of_an_epoch / self.epoch_steps
        points = [(0.0, 0.0)]
        for step, size in self.batches:
            before, done = points[-1]
            points.append((float(step), done + (step - before) * rate))
            if self.batch:
                rate = of_an_epoch / self.epoch_steps * size / self.batch
        last, done = points[-1]
        points.append((last + self.epoch_steps, done + self.epoch_steps * rate))
        return _scale(points)


def _pairs(points: Sequence[tuple[float, float]], *, after: float) -> Floats:
    """Return the points ``[n, 2]`` of later steps."""
    return np.array([one for one in points if one[0] > after], dtype=np.float64).reshape(-1, 2)


def _at_most(steps: Floats, values: Floats, most: int = 2**14) -> tuple[Floats, Floats]:
    """Return evenly many of ``[n]`` steps and values, their last ones included."""
    if len(steps) <= 2 * most:
        return steps, values
    every = -(-len(steps) // most)
    chosen = np.union1d(np.arange(0, len(steps), every), [len(steps) - 1])
    return steps[chosen], values[chosen]


def _scale(points: Sequence[tuple[float, float]] | Floats) -> StepScale | None:
    if len(points) < 2:
        return None
    try:
        return StepScale.of(*np.array(points).T)
    except ValueError:
        return None


def scale_of(
    record: RunRecord,
    series: Mapping[str, StoredSeries],
    snapshots: Iterable[SnapshotRecord],
    log: Iterable[tuple[int, Message]],
) -> RunScale:
    """Return the scale of a stored run.

    Args:
        record: of the run. series: the evaluations so far and the seconds, where they were recorded.
        snapshots: of the run: each knows how many seconds it took to reach it.
        log: messages that were applied, each with the steps completed before it.
    """
    seconds = {0.0: 0.0} if not record.at else {}
    for snapshot in snapshots:
        if snapshot.intact:
            seconds[float(snapshot.step)] = float(snapshot.seconds)
    if record.steps:
        seconds[float(record.steps)] = record.seconds
    evaluated = series.get(EVALUATIONS)
    return RunScale(
        epoch_steps=record.epoch_steps,
        epoch_examples=record.epoch_examples,
        batch=_batch_of(record),
        batches=[
            (step, int(message.value))
            for step, message in log
            if isinstance(message, SetValue) and message.path == _BATCH_SIZE
        ],
        seconds=sorted(seconds.items()),
        evaluations=[]
        if evaluated is None or not len(evaluated.steps)
        else [(0.0, 0.0), *_thinned(evaluated)],
        clock=_clock(series.get(SECONDS)),
    )


def _clock(noted: StoredSeries | None) -> tuple[Floats, Floats]:
    if noted is None or noted.values.ndim != 1:
        return np.empty(0), np.empty(0)
    finite = np.isfinite(noted.values)
    return _at_most(noted.steps[finite].astype(np.float64), noted.values[finite])


def _batch_of(record: RunRecord) -> int:
    try:
        experiment = Experiment.from_toml(record.experiment, check=False)
    except OptLabError:
        return 0
    return int(getattr(experiment.batches, "size", 0))


def _thinned(series: StoredSeries, most: int = 4096) -> list[tuple[float, float]]:
    every = max(1, len(series.steps) // most)
    chosen = np.union1d(np.arange(0, len(series.steps), every), [len(series.steps) - 1])
    return list(
        zip(
            series.steps[chosen].astype(float).tolist(), series.values[chosen].tolist(), strict=True
        )
    )
