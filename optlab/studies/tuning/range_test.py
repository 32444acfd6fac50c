"""The range test: one short run in which the learning rate rises geometrically, step by step.

The loss falls once the rate is large enough to matter, and blows up once it is too large. This
takes a single run, but each rate is used for one step only, from where the smaller ones have led;
:mod:`optlab.studies.tuning.short_runs` therefore holds the rates around the suggestion constant.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.schedules.base import Schedule
from optlab.core.errors import InvalidInput
from optlab.core.fields import number
from optlab.experiment import Experiment
from optlab.studies.stability import edge_factor, looks_ahead, momentum_of
from optlab.training.trainer import Trainer

FIRST, LAST, STEPS = 1e-6, 10.0, 200
SMOOTHING = 0.9
"""Weight of the past in the smoothed loss: an average over about ten steps, in which the rate grows
by a factor of two.
"""
MAX_REGAINED_SHARE = 0.25
"""Share of the decrease of the loss: a rate counts as too large where the loss regains that much,
or falls short of the best decrease by that much.
"""
_DIVERGED_FACTOR = 4.0
"""The range test ends when the smoothed loss is this many times the loss at the start."""

ProgressCallback = Callable[[float], None]
"""Receives the completed share of a task, from 0 to 1; an exception ends the task."""


@dataclass(frozen=True)
class RangeTest:
    """Loss against rate.

    Attributes:
        rates: ``[n]``, ascending. losses: batch loss ``[n]`` before the step at each rate.
            smoothed: ``[n]``.
        steepest: the suggestion: the rate at which the smoothed loss falls fastest per factor of
            the rate. lowest: the rate at which it is lowest.
        edge: estimate of the rate at which instability begins; None if the loss does not climb back
            up to the last rate.
        explanation: a sentence or two that explain the suggestion.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    steepest: float
    lowest: float
    edge: float | None
    explanation: str


@dataclass(frozen=True)
class RangeProgress:
    """How far a range test has come: the share ``done`` of its steps, 0 to 1."""

    done: float


class GeometricSchedule(Schedule):
    """Multiply the rate by a constant factor at each step."""

    first: float = number(FIRST, "First rate", gt=0.0)
    factor: float = number(1.0, "Factor", gt=0.0)

    @property
    def sum_diverges(self) -> bool:
        return self.factor >= 1.0

    @property
    def squares_converge(self) -> bool:
        return self.factor < 1.0

    def rate(self, lr: float, step: int) -> float:
        return self.first * self.factor**step


def range_test(
    experiment: Experiment,
    first: float = FIRST,
    last: float = LAST,
    steps: int = STEPS,
    on_progress: ProgressCallback | None = None,
) -> RangeTest:
    """Raise the rate from ``first`` to ``last`` through one run of at most ``steps`` steps.

    The experiment's schedule and budget are ignored; everything else applies.

    Args:
        on_progress: receives the completed share of the work, from 0 to 1.

    Raises:
        InvalidInput: the optimizer has no learning rate, the range or the number of steps is not
            allowed, or the experiment cannot be run.
    """
    result: RangeTest | None = None
    for found in raise_rate(experiment, first, last, steps):
        if isinstance(found, RangeTest):
            result = found
        elif on_progress is not None:
            on_progress(found.done)
    assert result is not None
    return result


def raise_rate(
    experiment: Experiment, first: float = FIRST, last: float = LAST, steps: int = STEPS
) -> Iterator[RangeProgress | RangeTest]:
    """Yield the losses after each step of a range test, and its result last.

    Raises:
        InvalidInput: as :func:`range_test`.
    """
    check(experiment, first, last)
    if first == last:
        raise InvalidInput(
            f"The range begins and ends at {first:g}, but the last rate must be above the first.",
            "to",
        )
    if steps < 20:
        raise InvalidInput(
            f"A range test of {steps} steps is too short; use at least 20 steps.",
            "steps",
        )
    schedule = GeometricSchedule(first=first, factor=(last / first) ** (1.0 / (steps - 1)))
    trainer = Trainer([dataclasses.replace(experiment, schedule=schedule)])
    losses: list[float] = []
    average = 0.0
    for step in range(steps):
        trainer.advance()
        trainer.sync_divergence()
        if trainer.endings:
            break
        losses.append(float(trainer.recorder.flush()["batch_loss"].values[0, 0]))
        average = SMOOTHING * average + (1.0 - SMOOTHING) * losses[-1]
        if average / (1.0 - SMOOTHING ** (step + 1)) > losses[0] + (_DIVERGED_FACTOR - 1.0) * abs(
            losses[0]
        ):
            break
        yield RangeProgress((step + 1) / steps)
    if len(losses) < 3:
        raise InvalidInput(
            (
                f"The loss is not finite from the first steps, at a rate of {first:g}; start with "
                "a "
                "smaller rate."
            ),
            "from",
        )
    rates = np.array([schedule.rate(0.0, step) for step in range(len(losses))])
    yield _read(rates, np.array(losses), experiment.optimizer, ended=len(losses) < steps)


def smoothed(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the exponential average of ``losses`` ``[n, …]`` over the first axis, in that shape.

    It is divided by the sum of its weights, so that it starts at the first loss.
    """
    result = np.empty_like(losses)
    average = np.zeros_like(losses[0])
    for step, loss in enumerate(losses):
        average = SMOOTHING * average + (1.0 - SMOOTHING) * loss
        result[step] = average / (1.0 - SMOOTHING ** (step + 1))
    return result


def check(experiment: Experiment, first: float, last: float) -> None:
    """Check that rates from ``first`` to ``last`` can be tried.

    Raises:
        InvalidInput: the optimizer has no learning rate, or the range is not allowed.
    """
    if all(field.name != "lr" for field in experiment.optimizer.fields()):
        raise InvalidInput(
            f"{experiment.optimizer.label} has no learning rate; use another optimizer.",
            "optimizer.name",
        )
    if not (math.isfinite(first) and math.isfinite(last) and 0.0 < first <= last):
        raise InvalidInput(
            (
                f"The range is {first:g} to {last:g}, but the first rate must be above 0 and the "
                "last at least as large."
            ),
            "from",
        )


def _read(
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    optimizer: Optimizer,
    *,
    ended: bool,
) -> RangeTest:
    smooth = smoothed(losses)
    lowest = int(np.argmin(smooth))
    fall = smooth[0] - smooth[lowest]
    climbed = np.flatnonzero(
        smooth[lowest:] > smooth[lowest] + max(MAX_REGAINED_SHARE * fall, 0.02 * abs(smooth[0]))
    )
    edge = None
    if len(climbed) or ended:
        # The loss climbs long after instability begins: each rate is used for one step only, and an
        # unstable component has to outgrow the others first.
        edge = min(float(rates[lowest]), _edge_by_growth(rates, losses, optimizer))
    steepest = float(rates[_steepest(np.log(rates), smooth, lowest)])
    if fall <= 0.02 * abs(smooth[0]):
        explanation = (
            f"No rate up to {rates[-1]:.3g} reduced the loss by more than 2%, so the suggestion of "
            f"{steepest:.3g} means little; try larger rates, or find out what else keeps the "
            "loss from falling."
        )
    else:
        explanation = (
            f"The loss falls fastest at a rate of {steepest:.3g} and is lowest at "
            f"{rates[lowest]:.3g}"
        )
        if edge is None:
            explanation += (
                f"; no rate up to {rates[-1]:.3g} made it rise again, so larger ones may do "
                "better still."
            )
        else:
            explanation += (
                f"; instability begins at about {edge:.3g}, by an estimate from this one run. "
                "Choose "
                "a rate near the first."
            )
    return RangeTest(rates, losses, smooth, steepest, float(rates[lowest]), edge, explanation)


def _edge_by_growth(
    rates: NDArray[np.float64], losses: NDArray[np.float64], optimizer: Optimizer
) -> float:
    """Return the edge of stability that explains the last growth of the loss; infinite if unknown.

    At the end of a blow-up the direction of largest curvature λ dominates: a step at rate ε
    multiplies its component by −p, and the loss by p². On a quadratic p determines ελ, and λ the
    edge.
    """
    factor = edge_factor(optimizer)
    if factor is None or len(losses) < 2 or not losses[-1] > losses[-2] > 0.0:
        return math.inf
    p, rate = math.sqrt(losses[-1] / losses[-2]), float(rates[-2])
    momentum = momentum_of(optimizer)
    if looks_ahead(optimizer):
        product = 1.0 + p * p / ((1.0 + momentum) * p + momentum)
    else:
        product = 1.0 + momentum + p + momentum / p
    return rate * factor / product


def _steepest(log_rates: NDArray[np.float64], smooth: NDArray[np.float64], lowest: int) -> int:
    """Return the index at which the curve falls fastest, up to its lowest point.

    The slope at an index is that of a line through a twentieth of the points on either side. The
    first points are left out: an average of a few losses is mostly noise.
    """
    half = max(2, len(smooth) // 20)
    steepest, slope = min(lowest, half), math.inf
    for index in range(2 * half, max(lowest, 2 * half) + 1):
        window = slice(index - half, min(index + half + 1, len(smooth)))
        if window.stop - window.start > half:
            fitted = float(np.polyfit(log_rates[window], smooth[window], 1)[0])
            if fitted < slope:
                steepest, slope = index, fitted
    return steepest
