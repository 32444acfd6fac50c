"""The range test: the rate is raised geometrically, step by step, through one short run.

Loss against rate falls where steps begin to matter, and blows up where they become too long. That
takes one run, but every rate is met from where the smaller ones have led, and is taken for one step
only; :mod:`optlab.studies.tuning.short_runs` then holds the rates around the suggestion constant.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.schedules.base import Schedule
from optlab.core.errors import InvalidInput
from optlab.core.fields import number
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

FIRST, LAST, STEPS = 1e-6, 10.0, 200
SMOOTHING = 0.9
"""Weight of the past in the smoothed loss: an average of about ten steps, as far as the rate moves
by a factor of two.
"""
GIVEN_BACK = 0.25
"""A rate counts as too large when this share of the way that the loss had come down is lost again,
or is not made at all.
"""
_LOST = 4.0
"""The range test ends when the smoothed loss is this many times as large as it was at the start."""

ProgressCallback = Callable[[float], None]
"""Is told how far a task is, from 0 to 1; what it raises ends the task."""


@dataclass(frozen=True)
class RangeTest:
    """Loss against rate.

    Attributes:
        rates: ``[n]``, rising. losses: batch loss ``[n]`` at the parameters that the step of each
            rate started from. smoothed: ``[n]``.
        steepest: the rate at which the smoothed loss falls fastest per factor of the rate: the
            suggestion. lowest: where it is lowest.
        edge: the rate at which it has climbed back for good; None where it never does, up to the
            last rate.
        words: a sentence or two that explain the suggestion.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    steepest: float
    lowest: float
    edge: float | None
    words: str


class Rising(Schedule):
    """From the first rate to the last, by one factor a step."""

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
    told: ProgressCallback | None = None,
) -> RangeTest:
    """Raise the rate from ``first`` to ``last`` through one run of at most ``steps`` steps.

    The experiment's schedule and budget do not matter; everything else is as it asks.

    Raises:
        InvalidInput: the optimizer has no learning rate, the range or the number of steps is no
            good, or the experiment cannot be run.
    """
    check(experiment, first, last)
    if first == last:
        raise InvalidInput(
            f"The range begins and ends at {first:g}; a range test needs a last rate above the first.",
            "to",
        )
    if steps < 20:
        raise InvalidInput(
            f"A range test of {steps} steps is too short to be read; take 20 steps or more.",
            "steps",
        )
    rising = Rising(first=first, factor=(last / first) ** (1.0 / (steps - 1)))
    trainer = Trainer([dataclasses.replace(experiment, schedule=rising)])
    losses: list[float] = []
    average = 0.0
    for step in range(steps):
        trainer.advance()
        trainer.sync_divergence()
        if trainer.endings:
            break
        losses.append(float(trainer.recorder.flush()["batch_loss"].values[0, 0]))
        average = SMOOTHING * average + (1.0 - SMOOTHING) * losses[-1]
        if average / (1.0 - SMOOTHING ** (step + 1)) > losses[0] + (_LOST - 1.0) * abs(losses[0]):
            break
        if told is not None:
            told((step + 1) / steps)
    if len(losses) < 3:
        raise InvalidInput(
            f"The loss is not finite from the first steps on, at a rate of {first:g}; begin with a smaller rate.",
            "from",
        )
    rates = np.array([rising.rate(0.0, step) for step in range(len(losses))])
    return _read(rates, np.array(losses), ended=len(losses) < steps)


def smoothed(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential average over the first axis, divided by the sum of its weights so that it begins
    at the first loss.
    """
    found = np.empty_like(losses)
    average = np.zeros_like(losses[0])
    for step, loss in enumerate(losses):
        average = SMOOTHING * average + (1.0 - SMOOTHING) * loss
        found[step] = average / (1.0 - SMOOTHING ** (step + 1))
    return found


def check(experiment: Experiment, first: float, last: float) -> None:
    """Whether rates from first to last can be tried.

    Raises:
        InvalidInput: they cannot.
    """
    if all(field.name != "lr" for field in experiment.optimizer.fields()):
        raise InvalidInput(
            f"{experiment.optimizer.label} has no learning rate, so there is none to choose; use another optimizer.",
            "optimizer.name",
        )
    if not (math.isfinite(first) and math.isfinite(last) and 0.0 < first <= last):
        raise InvalidInput(
            f"Rates from {first:g} to {last:g} cannot be tried; the first must be above 0 and the last no smaller.",
            "from",
        )


def _read(rates: NDArray[np.float64], losses: NDArray[np.float64], *, ended: bool) -> RangeTest:
    smooth = smoothed(losses)
    lowest = int(np.argmin(smooth))
    fall = smooth[0] - smooth[lowest]
    climbed = np.flatnonzero(
        smooth[lowest:] > smooth[lowest] + max(GIVEN_BACK * fall, 0.02 * abs(smooth[0]))
    )
    edge = (
        float(rates[lowest + climbed[0]]) if len(climbed) else float(rates[-1]) if ended else None
    )
    steepest = float(rates[_steepest(np.log(rates), smooth, lowest)])
    if fall <= 0.02 * abs(smooth[0]):
        words = (
            f"No rate up to {rates[-1]:.3g} made the loss fall by more than 2%, so the suggestion of {steepest:.3g} means little; try larger rates, or "
            "look for what else keeps the loss from falling."
        )
    else:
        words = f"At a rate of {steepest:.3g} the loss falls fastest, and it is lowest at {rates[lowest]:.3g}"
        if edge is None:
            words += f"; no rate up to {rates[-1]:.3g} made it climb, so larger ones may do better still."
        else:
            words += (
                f"; at {edge:.3g} it has climbed back. Each rate is taken for one step only, so instability begins somewhat below that: take a rate "
                "near the first."
            )
    return RangeTest(rates, losses, smooth, steepest, float(rates[lowest]), edge, words)


def _steepest(log_rates: NDArray[np.float64], smooth: NDArray[np.float64], lowest: int) -> int:
    """Where a line through a twentieth of the points on either side falls fastest, up to the lowest
    point.

    The first points are left out: an average of a few losses is mostly noise.
    """
    half = max(2, len(smooth) // 20)
    found, slope = min(lowest, half), math.inf
    for place in range(2 * half, max(lowest, 2 * half) + 1):
        window = slice(place - half, min(place + half + 1, len(smooth)))
        if window.stop - window.start > half:
            here = float(np.polyfit(log_rates[window], smooth[window], 1)[0])
            if here < slope:
                found, slope = place, here
    return found
