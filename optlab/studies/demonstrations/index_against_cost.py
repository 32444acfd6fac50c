"""Index of critical points against their cost, in a network on real data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from optlab.core.fields import Sizes, choice, integer, number, sizes
from optlab.objective.seeding import numpy_generator
from optlab.studies.demonstrations._critical import Reached, reached, small_network
from optlab.studies.demonstrations._fits import rank_correlation, resampled
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Array,
    Axis,
    Cell,
    Demonstration,
    DemonstrationResult,
    Plot,
    Progress,
    Scatter,
    counted,
    numbers,
    stream,
    table,
)

_SPREADS = (0.1, 0.5, 1.0, 2.0)
_SAME = 1e-7


class IndexAgainstCost(Demonstration):
    """Critical points of a small network, found from many points along its training.

    The higher the cost, the larger the share of negative eigenvalues.

    From each point a zero of the gradient of any kind is found by minimizing ½‖g‖² and classified
    by its eigenvalues. Bad local minima would appear at the left edge (no negative eigenvalue), at
    high cost.

    Points that differ only in the order and sign of the hidden units have the same cost and index,
    and are counted once.
    """

    name: ClassVar[str] = "index_against_cost"
    label: ClassVar[str] = "Index of critical points against cost"
    row: ClassVar[str] = "C10"
    sort_order: ClassVar[int] = 100
    rule: ClassVar[tuple[str, ...]] = (
        r"\theta^{*} = \text{argmin}\ \frac{1}{2} \left\| g(\theta) \right\|^2,\quad "
        r"\alpha = \frac{1}{P}\, N\left(\lambda\left(H(\theta^{*})\right) < 0\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "α": "share of negative eigenvalues",
        "N": "number of eigenvalues that satisfy the condition",
        "H": "Hessian of the objective, weight decay included",
        "P": "number of parameters",
    }
    source: ClassVar[str] = (
        "Notes, section on saddle points; Y. Dauphin et al. (2014), Fig 1; A. Choromanska et al. "
        "(2015)."
    )
    note: ClassVar[str] = (
        "The points rise to the right; a bad local minimum would be a point at the top left."
    )

    dataset: Literal["iris", "wine"] = choice(
        "iris", "Data", help="Data set that the network classifies."
    )
    units: int = integer(
        4,
        "Hidden units",
        ge=1,
        le=32,
        slider=(1, 10),
        help="Units of the hidden layer; the run time grows with the third power.",
    )
    decay: float = number(
        0.03,
        "Weight decay",
        ge=0.0,
        slider=(0.0, 0.1),
        help="Coefficient of ½‖w‖²; without it the minima of separable data lie at infinity.",
    )
    runs: int = integer(
        5,
        "Trainings",
        ge=1,
        le=1000,
        log=True,
        slider=(2, 100),
        help=(
            "Number of trainings, whose initial weights have standard deviations 0.1, 0.5, 1 and "
            "2 in turn."
        ),
    )
    reach: float = number(
        10.0,
        "Maximum distance",
        gt=0.0,
        log=True,
        slider=(1.0, 100.0),
        help="Critical points farther from the start of their search are left out: biases, which "
        "do not "
        "decay, can drift to where every unit is saturated and the cost is flat.",
    )
    at: Sizes = sizes(
        (5, 50, 200),
        "Steps",
        help="Numbers of training steps after which a critical point is searched.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        made = small_network(self.dataset, self.units, self.decay)
        found: list[Reached] = []
        sought, total = 0, self.runs * (len(set(self.at)) + 1)
        for point in reached(made, self.seed, self.runs, _SPREADS, (0, *self.at)):
            sought += 1
            if point is not None and point.distance <= self.reach:
                found.append(point)
            progress.report(sought / total)
            if not progress.should_continue():
                return
            if found and (sought % 8 == 0 or sought == total):
                yield self._result(found, sought, sought / total)
        if not found:
            yield self._result(found, sought, 1.0)

    def _result(self, found: list[Reached], sought: int, done: float) -> DemonstrationResult:
        distinct = different(found)
        cost = numbers([point.verdict.value for point in distinct])
        share = numbers(
            [point.verdict.index / len(point.verdict.eigenvalues) for point in distinct]
        )
        rows: list[tuple[Cell, ...]] = [
            (
                v.value,
                float(s),
                v.index,
                v.zeros,
                v.kind,
                v.gradient_norm,
                float(v.eigenvalues[0]),
                float(v.eigenvalues[-1]),
                p.run,
                p.step,
                p.distance,
            )
            for p, s in zip(distinct, share, strict=True)
            for v in (p.verdict,)
        ]
        correlation = rank_correlation(share, cost) if len(distinct) > 2 else math.nan
        saddles = sum(point.verdict.kind == "saddle" for point in distinct)
        sentence = (
            f"From {counted(sought, 'point')}, "
            f"{counted(len(found), 'critical point was', 'critical points were')} reached, "
        )
        sentence += (
            f"{len(distinct)} of them distinct; {counted(saddles, 'is a saddle', 'are saddles')}."
        )
        figures = {
            "different": float(len(distinct)),
            "saddles": float(saddles),
            "rank_correlation": correlation,
        }
        if math.isfinite(correlation):
            pairs = np.stack([share, cost], axis=1)
            rng = numpy_generator(self.seed, stream("index_against_cost/bootstrap"))
            low, high = resampled(
                pairs,
                lambda some: float(np.nan_to_num(rank_correlation(some[:, 0], some[:, 1]))),
                rng,
            )
            figures |= {"low": low, "high": high, "by_chance": self._by_chance(share, cost)}
            sentence += (
                " The rank correlation of cost and share of negative eigenvalues is "
                f"{correlation:.2f} (95% interval {low:.2f} to {high:.2f})."
            )
        headings = (
            "J",
            "share negative",
            "index",
            "zeros",
            "kind",
            "gradient norm",
            "least eigenvalue",
            "largest eigenvalue",
            "training",
            "step",
            "distance",
        )
        scatters = tuple(
            Scatter(kind, share[chosen], cost[chosen])
            for kind in ("minimum", "saddle", "maximum", "degenerate", "flat")
            for chosen in [numbers([point.verdict.kind == kind for point in distinct]).astype(bool)]
            if chosen.any()
        )
        plot = Plot(
            "Critical points", Axis("share of negative eigenvalues"), Axis("J"), scatters=scatters
        )
        return DemonstrationResult(table(headings, rows), (plot,), sentence, figures, done)

    def _by_chance(self, share: Array, cost: Array) -> float:
        """Return the rank correlation where each point gets the cost of one drawn at random."""
        rng = numpy_generator(self.seed, stream("index_against_cost/shuffled"))
        return rank_correlation(share, rng.permutation(cost))


def different(found: list[Reached]) -> list[Reached]:
    """Return the distinct points, lowest cost first.

    Points of equal cost and index are taken for copies of one network with its units reordered.
    """
    kept: list[Reached] = []
    for point in sorted(found, key=lambda point: point.verdict.value):
        near = [
            other
            for other in kept
            if abs(other.verdict.value - point.verdict.value)
            <= _SAME * (1.0 + abs(point.verdict.value))
        ]
        if not any(other.verdict.index == point.verdict.index for other in near):
            kept.append(point)
    return kept
