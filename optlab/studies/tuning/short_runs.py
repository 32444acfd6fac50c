"""Short runs side by side: rates around the suggestion of a range test held constant, each in a run
of its own.

All runs have one start and the same batches, and are one population. Where instability begins is
looked for in a second one, between the best rate and the first that was too large. The advice is
the notes': a rate above the one that is best after the first iterations, but below instability, and
from there linear decay (8.14).
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
from optlab.studies.tuning.range_test import (
    GIVEN_BACK,
    ProgressCallback,
    RangeTest,
    Rising,
    check,
    smoothed,
)
from optlab.training.trainer import Trainer

RUNS, STEPS = 8, 100
PASSES = 200
"""Passes through the training set after which the advised decay ends: the notes' few hundred."""
_BEYOND = 10.0
"""How far beyond the largest rate is looked when that is the best."""
LAST_SHARE = 0.01
"""ε_τ / ε₀, about 1% as the notes advise."""


@dataclass(frozen=True)
class ShortRuns:
    """Runs at constant rates from one start on the same batches.

    Attributes:
        rates: ``[K]``, rising. losses: batch losses ``[steps, K]``, NaN after a run has broken;
            smoothed: the same, smoothed.
        train_loss: loss on the whole training set after the last step, ``[K]``; infinite where the
            run has broken. initial: the same before the first.
        stable: ``[K]``; whether a rate is no larger than the best, or nearly as good.
        best: the rate with the lowest training loss; unstable: the lowest rate above it that is not
            stable, None where none is.
        advised: the rate for a full run. best and advised are None where no rate made the loss
            fall.
        tau, last: step and share of ε₀ at which linear decay ends. words: a few sentences that
            explain the advice.
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
    words: str


@dataclass(frozen=True)
class _Held:
    """A population at constant rates: as in :class:`ShortRuns`."""

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    train_loss: NDArray[np.float64]
    initial: float
    steps_per_epoch: int

    def best(self) -> int | None:
        """The run with the lowest training loss, if that has fallen at all."""
        place = int(np.argmin(self.train_loss))
        return place if self.train_loss[place] < self.initial else None

    def stable(self, best: int | None) -> NDArray[np.bool_]:
        """See :class:`ShortRuns`."""
        if best is None:
            return np.zeros(len(self.rates), dtype=np.bool_)
        lowest = self.train_loss[best]
        near = self.train_loss <= lowest + GIVEN_BACK * (self.initial - lowest)
        sound: NDArray[np.bool_] = np.isfinite(self.train_loss) & (
            near | (np.arange(len(self.rates)) <= best)
        )
        return sound

    def unstable(self, best: int) -> int | None:
        """The first run above the best that is not stable: a stable one beyond it was lucky."""
        above = np.flatnonzero(~self.stable(best)[best:])
        return best + int(above[0]) if len(above) else None

    def merged(self, other: _Held) -> _Held:
        """Both, by rate."""
        order = np.argsort(np.concatenate([self.rates, other.rates]), kind="stable")
        return _Held(
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
    told: ProgressCallback | None = None,
) -> ShortRuns:
    """Hold each rate constant through ``steps`` steps, all as one population; then as many rates
    between the best and the first that is too large.

    Where none is too large the second population goes up to the largest rate, or beyond it if that
    is the best.

    Raises:
        InvalidInput: there is no rate, one is not allowed, or the experiment cannot be run.
    """
    if not rates or steps < 10:
        raise InvalidInput("Short runs need at least one rate and 10 steps.", "short_runs")
    check(experiment, min(rates), max(rates))
    held = _hold(experiment, np.unique(rates), steps, told, 0.0)
    best = held.best()
    if best is not None:
        above = held.unstable(best)
        top = held.rates[above if above is not None else -1]
        if top == held.rates[best]:
            top *= _BEYOND
        between = np.geomspace(held.rates[best], top, len(rates) + 2)[1:-1]
        between = between[~np.isclose(between[:, None], held.rates).any(axis=1)]
        held = held.merged(_hold(experiment, between, steps, told, 0.5))
    return _advise(held, steps, max(1, min(experiment.budget.steps, PASSES * held.steps_per_epoch)))


def _hold(
    experiment: Experiment,
    rates: NDArray[np.float64],
    steps: int,
    told: ProgressCallback | None,
    done: float,
) -> _Held:
    trainer = Trainer(
        [dataclasses.replace(experiment, schedule=Rising(first=float(rate))) for rate in rates]
    )
    initial = float(trainer.evaluate()["train_loss"][0])
    for step in range(steps):
        trainer.advance()
        trainer.sync_divergence()
        if not trainer.alive:
            break
        if told is not None:
            told(done + 0.5 * (step + 1) / steps)
    losses = np.full((steps, len(rates)), math.nan)
    taken = trainer.recorder.flush()["batch_loss"].values
    losses[: len(taken)] = taken
    train_loss = trainer.evaluate()["train_loss"].double().cpu().numpy().copy()
    for run, ending in trainer.endings.items():
        losses[max(0, ending.last_reported_step - 1) :, run] = math.nan
        train_loss[run] = math.inf
    train_loss[np.isnan(train_loss)] = math.inf
    return _Held(rates, losses, train_loss, initial, trainer.steps_per_epoch)


def rates_around(test: RangeTest, count: int = RUNS) -> list[float]:
    """``count`` rates, evenly spaced on a logarithmic axis, from a tenth of the suggestion to
    beyond the edge of instability.
    """
    top = 2.0 * (test.edge if test.edge is not None else float(test.rates[-1]))
    return [float(rate) for rate in np.geomspace(test.steepest / 10.0, top, count)]


def _advise(held: _Held, steps: int, tau: int) -> ShortRuns:
    place = held.best()
    best = unstable = advised = None
    if place is None:
        words = f"No rate from {held.rates[0]:.3g} to {held.rates[-1]:.3g} has made the training loss fall in {steps:,} steps; try smaller ones."
    else:
        too_large = held.unstable(place)
        top = (too_large if too_large is not None else len(held.rates)) - 1
        best, unstable = (
            float(held.rates[place]),
            float(held.rates[too_large]) if too_large is not None else None,
        )
        # Half of the way, on the logarithmic axis, to the largest rate that is sound.
        target = math.sqrt(best * held.rates[top])
        chosen = place + int(np.argmin(np.abs(np.log(held.rates[place : top + 1] / target))))
        advised = float(held.rates[chosen])
        words = f"After {steps:,} steps the training loss is lowest at a rate of {best:.3g} ({held.train_loss[place]:.4g})"
        words += (
            f", and {unstable:.3g} is too large. "
            if unstable is not None
            else ", and no larger rate tried is too large. "
        )
        if advised > best:
            words += f"Over a whole run a rate above the best of the first iterations but below instability usually does best: {advised:.3g}."
        else:
            words += f"No rate tried lies between the two, so it is {advised:.3g}."
        words += (
            f" Linear decay to ε_τ = {LAST_SHARE:.0%} of it at step τ = {tau:,} ({tau / held.steps_per_epoch:,.0f} passes through the training set) lets "
            "the noise of the gradient die out."
        )
    stable = held.stable(place)
    return ShortRuns(
        held.rates,
        held.losses,
        smoothed(held.losses),
        held.train_loss,
        held.initial,
        stable,
        best,
        unstable,
        advised,
        tau,
        LAST_SHARE,
        words,
    )
