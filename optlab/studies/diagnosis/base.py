"""What a rule reads and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from optlab.experiment import Experiment

Floats = NDArray[np.float64]
MIN_READINGS = 3
"""Readings below which nothing is said."""


@dataclass(frozen=True)
class Remedy:
    """What would help.

    Attributes:
        label: words on a button. changes: dotted path of a field → value. stop: whether the run is
            to be stopped instead.
        live: whether the changes take effect in the run that is going; else with the next one.
    """

    label: str
    changes: Mapping[str, float | str] = field(default_factory=dict)
    live: bool = True
    stop: bool = False


@dataclass(frozen=True)
class Finding:
    """Something that holds the run back.

    Attributes:
        name: of the rule. sentence: what it is, in words. evidence: the numbers that say so.
        weight: how much it matters, from 0 to 1. remedies: what would help, the best first.
    """

    name: str
    sentence: str
    evidence: str
    weight: float
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True)
class FullNorms:
    """Norm of the full gradient: at the start, at the last evaluation of it, after ``step`` steps,
    and at its largest.
    """

    start: float
    last: float
    largest: float
    step: int


@dataclass(frozen=True)
class RunHistory:
    """What was measured of one run so far.

    Attributes:
        experiment: as it stands now, changes made on the way included.
        series: name → (steps ``[n]``, values ``[n]`` or ``[n, K]``). columns: series → names of its
            K numbers.
    """

    experiment: Experiment
    series: Mapping[str, tuple[NDArray[np.int64], Floats]]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def values(self, name: str) -> Floats:
        """All finite values of a series of one number, in order; empty where it was not measured."""
        _, values = self.series.get(name, (None, np.zeros(0)))
        found: Floats = values[np.isfinite(values)] if values.ndim == 1 else np.zeros(0)
        return found

    def last(self, name: str) -> Floats:
        """The last reading of a series: one number or K; empty where there is none."""
        _, values = self.series.get(name, (None, np.zeros(0)))
        return np.atleast_1d(values[-1]) if len(values) else np.zeros(0)

    def recent(self, name: str, share: float = 0.2, least: int = 20) -> Floats:
        """The newest part of a series of one number."""
        values = self.values(name)
        return values[-max(least, round(share * len(values))) :]

    def full_norms(self) -> FullNorms | None:
        """The norm of the full gradient; None where it was not measured both at the start and
        later.
        """
        steps, values = self.series.get("full_gradient_norm", (np.zeros(0, np.int64), np.zeros(0)))
        finite = np.isfinite(values)
        steps, values = steps[finite], values[finite]
        if len(steps) < 2 or steps[0] != 0:
            return None
        return FullNorms(float(values[0]), float(values[-1]), float(values.max()), int(steps[-1]))

    @property
    def rate(self) -> float | None:
        """The learning rate of the last step, or the one that was asked for."""
        measured = self.values("learning_rate")
        if len(measured):
            return float(measured[-1])
        lr = getattr(self.experiment.optimizer, "lr", None)
        return None if lr is None else float(lr)

    def slower(self, factor: float) -> Remedy | None:
        """A lower rate in the run that is going; None where the rule has no rate that can be
        changed.
        """
        lr = getattr(self.experiment.optimizer, "lr", None)
        if lr is None or "optimizer.lr" not in self.experiment.live_fields():
            return None
        value = float(f"{lr / factor:.2g}")
        return Remedy(f"Lower the rate to {value:g}", {"optimizer.lr": value})


def available(*remedies: Remedy | None) -> tuple[Remedy, ...]:
    """Those that there are."""
    return tuple(remedy for remedy in remedies if remedy is not None)


def short(value: float) -> str:
    """A number for a sentence."""
    return f"{value:.3g}"
