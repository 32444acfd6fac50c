"""Critical points of random functions, counted by kind, in more and more dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from optlab.core.fields import integer
from optlab.objective.seeding import numpy_generator
from optlab.studies.demonstrations._fits import line
from optlab.studies.demonstrations._trigonometric import drawn, expected_kinds, waves
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Array,
    Axis,
    Curve,
    Demonstration,
    DemonstrationResult,
    Plot,
    Progress,
    numbers,
    stream,
    table,
)

_RESAMPLED = 400


class RandomFunctions(Demonstration):
    """All critical points of random functions of n variables, found and counted: saddles outnumber
    minima by a factor that grows exponentially with n.

    At a minimum all n eigenvalues have to be positive, at a saddle only not all of one sign; if
    each sign were a coin's, one critical point in 2^n would be a minimum. The signs are not
    independent, and in many dimensions minima are rarer still: see the bench on random matrices.
    The functions are trigonometric polynomials with normal coefficients, which live on a torus, so
    there is no border, and two laws of topology tell whether a count has missed a point.

    The dashed line is computed without a search, by the formula of Kac and Rice.
    """

    name: ClassVar[str] = "random_functions"
    label: ClassVar[str] = "Critical points of random functions"
    row: ClassVar[str] = "C8"
    sort_order: ClassVar[int] = 80
    rule: ClassVar[tuple[str, ...]] = (
        r"f(x) = \sum_{0 < |k|^2 \leq K} a_k \cos\left(k^{\top} x\right) + b_k \sin\left(k^{\top} x\right),\quad a_k, b_k \sim N(0, 1)",
        r"E\, N_i = (2 \pi)^{n/2} \det(\Lambda)^{-1/2}\, E\left[\left|\det H\right|\ 1(\text{index} = i)\right]",
    )
    symbols: ClassVar[dict[str, str]] = {
        "k": "wave vector: whole numbers, one of each pair ±k",
        "N_i": "critical points with i negative eigenvalues",
        "Λ": "covariance of the gradient",
        "H": "Hessian at a point, independent of the gradient there",
    }
    source: ClassVar[str] = (
        "Notes, section on saddle points; Y. Dauphin et al. (2014); the count expected: M. Kac (1943), S. Rice (1944), and R. Adler, J. Taylor, Random Fields "
        "and Geometry (2007)."
    )
    note: ClassVar[str] = (
        "On its logarithmic axis the curve is about straight, so minima become rare exponentially fast."
    )

    largest: int = integer(
        4,
        "Largest n",
        symbol="n",
        ge=1,
        le=5,
        slider=(1, 4),
        help="Functions of 1, 2, … up to so many variables; 5 takes minutes.",
    )
    functions: int = integer(
        12,
        "Functions of each n",
        ge=2,
        le=1000,
        log=True,
        slider=(4, 100),
        help="Number of random functions that are searched.",
    )
    bound: int = integer(
        3,
        "Bound of |k|²",
        symbol="K",
        ge=1,
        le=9,
        slider=(1, 5),
        help="Squared length of the longest wave: larger makes rougher functions.",
    )
    predicted: int = integer(
        40_000,
        "Hessians for the prediction",
        ge=100,
        le=1_000_000,
        log=True,
        slider=(1000, 100_000),
        help="Random Hessians that the dashed line is a mean of.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        work = [self.functions * 4**n for n in range(1, self.largest + 1)]
        spent = 0.0
        kinds: list[Array] = []
        complete: list[int] = []
        expected: list[Array] = []
        for n in range(1, self.largest + 1):
            k = waves(n, self.bound)
            expected.append(
                expected_kinds(
                    k,
                    numpy_generator(self.seed, stream(f"random_functions/kac_rice/{n}")),
                    self.predicted,
                )
            )
            counts: list[Array] = []
            whole_counts = 0
            for number in range(self.functions):
                rng = numpy_generator(self.seed, stream(f"random_functions/{n}/{number}"))
                function = drawn(k, rng)
                points, lawful = function.critical_points(rng)
                counts.append(function.kinds(points))
                whole_counts += lawful
                spent += 4**n
                progress.report(spent / sum(work))
                if not progress.should_continue():
                    return
            kinds.append(np.stack(counts))
            complete.append(whole_counts)
            yield self._result(kinds, complete, expected, spent / sum(work))

    def _result(
        self, kinds: list[Array], complete: list[int], expected: list[Array], done: float
    ) -> DemonstrationResult:
        n = np.arange(1, len(kinds) + 1, dtype=np.float64)
        ratio = numbers([_per_minimum(counts) for counts in kinds])
        predicted = numbers([mean.sum() / mean[0] for mean in expected])
        rng = numpy_generator(self.seed, stream("random_functions/bootstrap"))
        again = np.stack(
            [
                [_per_minimum(c[rng.integers(0, len(c), len(c))]) for c in kinds]
                for _ in range(_RESAMPLED)
            ]
        )
        low, high = np.percentile(again, [2.5, 97.5], axis=0)
        rows = []
        for i, counts in enumerate(kinds):
            total, mean = counts.sum(), counts.mean(axis=0)
            saddles = float(counts[:, 1:-1].sum() / total)
            by_index = ", ".join(f"{value:.3g}" for value in mean)
            rows.append((i + 1, float(mean.sum()), float(expected[i].sum()), float(mean[0]), float(mean[-1]), saddles, ratio[i], low[i], high[i], predicted[i],
                         by_index, complete[i], len(counts)))  # fmt: skip
        headings = (
            "n",
            "critical points",
            "expected (Kac–Rice)",
            "minima",
            "maxima",
            "share of saddles",
            "critical points per minimum",
            "low",
            "high",
            # fmt: skip
            "predicted per minimum",
            "mean number of each index",
            "complete counts",
            "functions",
        )
        figures = {"share_of_saddles": float(rows[-1][5])}
        sentence = f"Of the critical points of functions of {len(kinds)} variables {rows[-1][5]:.0%} are saddles, and there are {ratio[-1]:.3g} for each minimum."
        if len(kinds) > 1:
            factor = float(np.exp(line(n, np.log(ratio))[0]))
            spread = np.exp([line(n, np.log(one))[0] for one in again])
            interval = [float(value) for value in np.percentile(spread, [2.5, 97.5])]
            figures |= {"factor": factor, "factor_low": interval[0], "factor_high": interval[1]}
            sentence += f" That number grows by a factor of {factor:.3g} (95% interval {interval[0]:.3g} to {interval[1]:.3g}) with each dimension."
        missed = sum(len(counts) for counts in kinds) - sum(complete)
        sentence += (
            " Every count keeps the laws of topology."
            if missed == 0
            else f" {missed} counts break a law of topology: they miss points."
        )
        curves = (
            Curve(
                "counted", n, ratio, error=np.maximum(np.stack([ratio - low, high - ratio]), 0.0)
            ),
            Curve("Kac–Rice", n, predicted, style="predicted"),
            Curve("2ⁿ, signs by coin", n, 2.0**n, style="predicted"),
        )
        share = numbers([row[5] for row in rows])
        plots = (
            Plot(
                "Critical points for each minimum",
                Axis("n"),
                Axis("critical points per minimum", log=True),
                curves,
            ),
            Plot(
                "Share of saddles",
                Axis("n"),
                Axis("share of saddles"),
                (Curve("counted", n, share),),
            ),
        )
        return DemonstrationResult(table(headings, rows), plots, sentence, figures, done)


def _per_minimum(counts: Array) -> float:
    """Critical points for each minimum, of counts ``[F, n + 1]`` pooled; every function on a torus
    has a minimum.
    """
    return float(counts.sum() / counts[:, 0].sum())
