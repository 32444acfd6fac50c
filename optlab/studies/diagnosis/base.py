"""The input of a diagnosis rule, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from optlab.experiment import Experiment
from optlab.history.forking import fits_fork
from optlab.studies.stability import edge_factor

Floats = NDArray[np.float64]
MIN_READINGS = 3
"""Number of readings that a rule needs to say anything."""
_HOVERING_READINGS = 5
_HOVERING = 0.1
"""How far from the edge, relative to it, the mean of the last readings of a hovering curvature is."""
_SPREAD = 0.25
"""How far single readings of a hovering curvature are at most."""


@dataclass(frozen=True)
class Remedy:
    """A change that would help.

    Attributes:
        label: text of its button. changes: dotted path of a field → value.
        live: whether the changes take effect in the current run; otherwise they apply to the next.
        stop: whether to stop the run instead.
    """

    label: str
    changes: Mapping[str, float | str] = field(default_factory=dict)
    live: bool = True
    stop: bool = False

    @property
    def fits_fork(self) -> bool:
        """Whether a fork of the run can try the changes, which keep its weights."""
        return bool(self.changes) and all(
            fits_fork(path) and not path.startswith(("model.", "dataset.")) for path in self.changes
        )


@dataclass(frozen=True)
class Finding:
    """A problem of the run.

    Attributes:
        name: of the rule. sentence: the problem. evidence: the numbers that support it.
        weight: its severity, from 0 to 1. remedies: what would help, the best first.
    """

    name: str
    sentence: str
    evidence: str
    weight: float
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True)
class FullNorms:
    """Norms of the full gradient.

    Attributes:
        start, last, largest: the first, the last and the largest value. step: number of steps
            before the last one.
    """

    start: float
    last: float
    largest: float
    step: int


@dataclass(frozen=True)
class StabilityEdge:
    """The largest rate at which gradient descent is stable on a quadratic of this curvature.

    Attributes:
        rate: the edge. curvature: λ₁, or a lower bound of it; then ``rate`` is an upper bound.
        measured: whether λ₁ was measured.
    """

    rate: float
    curvature: float
    measured: bool


@dataclass(frozen=True)
class Hovering:
    """A curvature that stays at the largest stable one.

    Attributes:
        ratio: mean of curvature over largest stable curvature. curvature: mean of it.
        readings: how many were averaged.
    """

    ratio: float
    curvature: float
    readings: int


@dataclass(frozen=True)
class RunHistory:
    """The measurements of one run so far.

    Attributes:
        experiment: the current experiment, including changes made during the run.
        series: name → (steps ``[n]``, values ``[n]`` or ``[n, K]``).
        columns: name of a series → names of its K numbers.
        ended: whether the run has ended; then it can be neither stopped nor changed.
    """

    experiment: Experiment
    series: Mapping[str, tuple[NDArray[np.int64], Floats]]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ended: bool = False

    @property
    def measured(self) -> bool:
        """Whether there is any measurement."""
        return any(len(values) for _, values in self.series.values())

    def is_live(self, path: str) -> bool:
        """Return whether a change of this field takes effect in the current run."""
        return not self.ended and path in self.experiment.live_fields()

    def values(self, name: str) -> Floats:
        """Return all finite values of a series of one number, ``[n]``; empty if not measured."""
        _, values = self.series.get(name, (None, np.zeros(0)))
        finite: Floats = values[np.isfinite(values)] if values.ndim == 1 else np.zeros(0)
        return finite

    def last(self, name: str) -> Floats:
        """Return the last reading of a series, ``[1]`` or ``[K]``; empty if there is none."""
        _, values = self.series.get(name, (None, np.zeros(0)))
        return np.atleast_1d(values[-1]) if len(values) else np.zeros(0)

    def recent(self, name: str, share: float = 0.2, minimum: int = 20) -> Floats:
        """Return the newest ``share`` of a series of one number, at least ``minimum``, ``[n]``."""
        values = self.values(name)
        return values[-max(minimum, round(share * len(values))) :]

    def full_norms(self) -> FullNorms | None:
        """Return the norms of the full gradient; None unless measured at the start and later."""
        steps, values = self.series.get("full_gradient_norm", (np.zeros(0, np.int64), np.zeros(0)))
        finite = np.isfinite(values)
        steps, values = steps[finite], values[finite]
        if len(steps) < 2 or steps[0] != 0:
            return None
        return FullNorms(float(values[0]), float(values[-1]), float(values.max()), int(steps[-1]))

    def stability_edge(self) -> StabilityEdge | None:
        """Return the edge of stability, 2/λ₁ for gradient descent and larger with momentum.

        Without λ₁ the curvature along the gradient, gᵀHg/gᵀg, bounds it from below. None if neither
        was measured, or if the optimizer's step is not a multiple of the gradient.
        """
        factor, top = edge_factor(self.experiment.optimizer), self.last("spectrum.top")
        if factor is None:
            return None
        curvature = float(top[0]) if len(top) else self._curvature_along_gradient()
        if not curvature > 0.0:
            return None
        return StabilityEdge(factor / curvature, curvature, bool(len(top)))

    def hovering(self) -> Hovering | None:
        """Return the curvature if it hovers at the edge of stability (needs ``spectrum``).

        It does where the last readings scatter around the edge. A curvature that passes it is on
        one side of it before and after, and a run whose curvature stays beyond diverges.
        """
        names = ("spectrum.curvature", "spectrum.stable")
        readings = [self.series.get(name, (None, np.zeros(0)))[1] for name in names]
        count = min(len(one) for one in readings)
        share = max(_HOVERING_READINGS, count // 5)
        curvature, stable = (one[len(one) - min(share, count) :] for one in readings)
        if len(curvature) < _HOVERING_READINGS or not (stable > 0.0).all():
            return None
        ratios = curvature / stable
        if not np.isfinite(ratios).all() or not (np.abs(ratios - 1.0) <= _SPREAD).all():
            return None
        mean = float(ratios.mean())
        if abs(mean - 1.0) > _HOVERING:
            return None
        return Hovering(mean, float(curvature.mean()), len(curvature))

    def _curvature_along_gradient(self) -> float:
        """Return the median of the last 20 readings, NaN if there are too few."""
        ghg, gg = (self.values(f"conditioning.{name}")[-20:] for name in ("ghg", "gg"))
        if len(ghg) < MIN_READINGS or len(ghg) != len(gg) or not (gg > 0.0).all():
            return float("nan")
        return float(np.median(ghg / gg))

    @property
    def rate(self) -> float | None:
        """The learning rate of the last step, or that of the experiment before the first."""
        measured = self.values("learning_rate")
        if len(measured):
            return float(measured[-1])
        lr = getattr(self.experiment.optimizer, "lr", None)
        return None if lr is None else float(lr)

    def slower(self, factor: float) -> Remedy | None:
        """Return the remedy of a lower rate; None if the optimizer has none that can be changed."""
        lr = getattr(self.experiment.optimizer, "lr", None)
        if lr is None or "optimizer.lr" not in self.experiment.live_fields():
            return None
        value = float(f"{lr / factor:.2g}")
        return Remedy(
            f"Lower the rate to {value:g}", {"optimizer.lr": value}, self.is_live("optimizer.lr")
        )


def without_findings(history: RunHistory) -> str:
    """Return a sentence for a run without findings, which differs if nothing was measured."""
    if not history.measured:
        return "Nothing was measured." if history.ended else "Nothing has been measured yet."
    return "No problem was found in what was measured."


def available(*remedies: Remedy | None) -> tuple[Remedy, ...]:
    """Return the remedies that are not None."""
    return tuple(remedy for remedy in remedies if remedy is not None)


def short(value: float) -> str:
    """Return a number as text, to three digits."""
    return f"{value:.3g}"
