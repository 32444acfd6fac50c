"""Short runs at constant learning rates around the suggestion of a range test.

All runs share one start and the same batches, and form one population. A second population narrows
down where instability begins, between the best rate and the first that was too large. The advice
follows the notes: choose a rate above the one that is best after the first iterations but below
instability, and decay it linearly from there (8.14).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.experiment.epochs import in_steps
from optlab.studies.tuning.range_test import (
    MAX_REGAINED_SHARE,
    GeometricSchedule,
    ProgressCallback,
    RangeTest,
    check,
    smoothed,
)
from optlab.training.trainer import Trainer

RUNS, STEPS = 8, 100
PASSES = 200
"""Epochs after which the advised decay ends: "a few hundred" in the notes."""
_EXTENSION = 10.0
"""Factor by which the search extends beyond the largest rate when that one is the best."""
LAST_SHARE = 0.01
"""ε_τ / ε₀: about 1%, as the notes advise."""


@dataclass(frozen=True)
class ShortRuns:
    """Runs at constant rates from one start on the same batches.

    Attributes:
        rates: ``[K]``, ascending. losses: batch losses ``[steps, K]``, NaN after a run diverged.
            smoothed: the same, smoothed.
        train_loss: loss on the full training set after the last step, ``[K]``; infinite where the
            run diverged. initial: the same before the first step.
        stable: ``[K]``; whether a rate is no larger than the best, or nearly as good.
        best: the rate with the lowest training loss. unstable: the lowest rate above it that is not
            stable, or None.
        advised: the rate for a full run. best and advised are None if no rate made the loss fall.
        tau, last: step and share of ε₀ at which linear decay ends.
        explanation: a few sentences that explain the advice.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    train_loss: NDArray[np.float64]
    initial: float
    stable: NDArray[np.bool_]
    best: float | None
    unstable: float | None
    advised: float | None
    tau: int
    last: float
    explanation: str


@dataclass(frozen=True)
class _ConstantRateRuns:
    """A population at constant rates, with the attributes of :class:`ShortRuns`."""

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    train_loss: NDArray[np.float64]
    initial: float
    steps_per_epoch: int

    def best(self) -> int | None:
        """Return the run with the lowest training loss, or None if no loss has fallen."""
        index = int(np.argmin(self.train_loss))
        return index if self.train_loss[index] < self.initial else None

    def stable(self, best: int | None) -> NDArray[np.bool_]:
        """Return which rates are stable, ``[K]``; see :class:`ShortRuns`."""
        if best is None:
            return np.zeros(len(self.rates), dtype=np.bool_)
        lowest = self.train_loss[best]
        near = self.train_loss <= lowest + MAX_REGAINED_SHARE * (self.initial - lowest)
        sound: NDArray[np.bool_] = np.isfinite(self.train_loss) & (
            near | (np.arange(len(self.rates)) <= best)
        )
        return sound

    def unstable(self, best: int) -> int | None:
        """Return the first run above the best that is not stable; later stable ones are luck."""
        above = np.flatnonzero(~self.stable(best)[best:])
        return best + int(above[0]) if len(above) else None

    def merged(self, other: _ConstantRateRuns) -> _ConstantRateRuns:
        """Return the runs of both, sorted by rate."""
        order = np.argsort(np.concatenate([self.rates, other.rates]), kind="stable")
        return _ConstantRateRuns(
            np.concatenate([self.rates, other.rates])[order],
            np.concatenate([self.losses, other.losses], axis=1)[:, order],
            np.concatenate([self.train_loss, other.train_loss])[order],
            self.initial,
            self.steps_per_epoch,
        )


def short_runs(
    experiment: Experiment,
    rates: Sequence[float],
    steps: int = STEPS,
    on_progress: ProgressCallback | None = None,
) -> ShortRuns:
    """Hold each rate constant for ``steps`` steps, all as one population.

    Then try as many rates between the best and the first that is too large.

    If none is too large, the second population extends to the largest rate, or beyond it if that
    is the best.

    Args:
        on_progress: receives the completed share of the work, from 0 to 1.

    Raises:
        InvalidInput: there is no rate, a rate is not allowed, or the experiment cannot be run.
    """
    if not rates or steps < 10:
        raise InvalidInput("Short runs need at least one rate and at least 10 steps.", "short_runs")
    check(experiment, min(rates), max(rates))
    runs = _run_constant_rates(experiment, np.unique(rates), steps, on_progress, 0.0)
    best = runs.best()
    if best is not None:
        above = runs.unstable(best)
        top = runs.rates[above if above is not None else -1]
        if top == runs.rates[best]:
            top *= _EXTENSION
        between = np.geomspace(runs.rates[best], top, len(rates) + 2)[1:-1]
        between = between[~np.isclose(between[:, None], runs.rates).any(axis=1)]
        runs = runs.merged(_run_constant_rates(experiment, between, steps, on_progress, 0.5))
    budget = in_steps(experiment, runs.steps_per_epoch).budget.steps
    return _advise(runs, steps, max(1, min(budget, PASSES * runs.steps_per_epoch)))


def _run_constant_rates(
    experiment: Experiment,
    rates: NDArray[np.float64],
    steps: int,
    on_progress: ProgressCallback | None,
    done: float,
) -> _ConstantRateRuns:
    trainer = Trainer(
        [
            dataclasses.replace(experiment, schedule=GeometricSchedule(first=float(rate)))
            for rate in rates
        ]
    )
    initial = float(trainer.evaluate()["train_loss"][0])
    for step in range(steps):
        trainer.advance()
        trainer.sync_divergence()
        if not trainer.alive:
            break
        if on_progress is not None:
            on_progress(done + 0.5 * (step + 1) / steps)
    losses = np.full((steps, len(rates)), math.nan)
    taken = trainer.recorder.flush()["batch_loss"].values
    losses[: len(taken)] = taken
    train_loss = trainer.evaluate()["train_loss"].double().cpu().numpy().copy()
    for run, ending in trainer.endings.items():
        losses[max(0, ending.last_reported_step - 1) :, run] = math.nan
        train_loss[run] = math.inf
    train_loss[np.isnan(train_loss)] = math.inf
    return _ConstantRateRuns(rates, losses, train_loss, initial, trainer.steps_per_epoch)


def rates_around(test: RangeTest, count: int = RUNS) -> list[float]:
    """Return ``count`` rates around the suggestion, evenly spaced on a logarithmic axis.

    They go from a tenth of the suggestion to beyond the edge of instability.
    """
    top = 2.0 * (test.edge if test.edge is not None else float(test.rates[-1]))
    return [float(rate) for rate in np.geomspace(test.steepest / 10.0, top, count)]


def _advise(runs: _ConstantRateRuns, steps: int, tau: int) -> ShortRuns:
    index = runs.best()
    best = unstable = advised = None
    if index is None:
        explanation = (
            f"No rate from {runs.rates[0]:.3g} to {runs.rates[-1]:.3g} reduced the training loss "
            "in "
            f"{steps:,} steps; try smaller ones."
        )
    else:
        too_large = runs.unstable(index)
        top = (too_large if too_large is not None else len(runs.rates)) - 1
        best, unstable = (
            float(runs.rates[index]),
            float(runs.rates[too_large]) if too_large is not None else None,
        )
        # Halfway, on the logarithmic axis, to the largest stable rate.
        target = math.sqrt(best * runs.rates[top])
        chosen = index + int(np.argmin(np.abs(np.log(runs.rates[index : top + 1] / target))))
        advised = float(runs.rates[chosen])
        explanation = (
            f"After {steps:,} steps the training loss is lowest at a rate of {best:.3g} "
            f"({runs.train_loss[index]:.4g})"
        )
        explanation += (
            f", and {unstable:.3g} is too large. "
            if unstable is not None
            else ", and no larger rate tried is too large. "
        )
        if advised > best:
            explanation += (
                "For a full run, a rate above the best of the first iterations but below "
                f"instability usually does best: {advised:.3g}."
            )
        else:
            explanation += (
                f"No rate tried lies between the two, so the advised rate is {advised:.3g}."
            )
        explanation += (
            f" Linear decay to ε_τ = {LAST_SHARE:.0%} of it at step τ = {tau:,} "
            f"({tau / runs.steps_per_epoch:,.0f} epochs) lets the gradient noise die out."
        )
    stable = runs.stable(index)
    return ShortRuns(
        runs.rates,
        runs.losses,
        smoothed(runs.losses),
        runs.train_loss,
        runs.initial,
        stable,
        best,
        unstable,
        advised,
        tau,
        LAST_SHARE,
        explanation,
    )
