"""Critical points of random functions, counted by kind, in more and more dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from optlab.core.fields import integer
from optlab.objective.seeding import numpy_generator
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
    counted,
    numbers,
    stream,
    table,
)

_RESAMPLED = 400
_MIN_ERROR = 0.01
"""Smallest relative error of a ratio that a fit assumes."""
_CHI_SQUARE = (3.841, 5.991, 7.815, 9.488)
"""95% quantiles of χ² with 1, 2, 3 and 4 degrees of freedom."""


class RandomFunctions(Demonstration):
    """All critical points of random functions of n variables, found and counted.

    Saddles outnumber minima by a factor that grows with n.

    At a minimum all n eigenvalues are positive; at a saddle they have different signs. If each sign
    were independent, one critical point in 2^n would be a minimum. The signs are not independent,
    and in many dimensions minima are rarer still: see the demonstration on random matrices. The
    functions are trigonometric polynomials with normal coefficients. They live on a torus, so there
    is no boundary, and two laws of topology reveal a count that has missed a point.

    Theory expects exponential growth in many dimensions. The counts of few dimensions are compared
    with an exponential and with a power law. The curve of Kac and Rice needs no search.
    """

    name: ClassVar[str] = "random_functions"
    label: ClassVar[str] = "Critical points of random functions"
    row: ClassVar[str] = "C8"
    sort_order: ClassVar[int] = 80
    rule: ClassVar[tuple[str, ...]] = (
        (
            r"f(x) = \sum_{0 < |k|^2 \leq K} a_k \cos\left(k^{\top} x\right) + b_k "
            r"\sin\left(k^{\top} x\right),\quad a_k, b_k \sim N(0, 1)"
        ),
        (
            r"E\, N_i = (2 \pi)^{n/2} \det(\Lambda)^{-1/2}\, E\left[\left|\det H\right|\ "
            r"1(\text{index} = i)\right]"
        ),
    )
    symbols: ClassVar[dict[str, str]] = {
        "k": "wave vector: whole numbers, one of each pair ±k",
        "N_i": "critical points with i negative eigenvalues",
        "Λ": "covariance of the gradient",
        "H": "Hessian at a point, independent of the gradient there",
    }
    source: ClassVar[str] = (
        "Notes, section on saddle points; Y. Dauphin et al. (2014); the count expected: M. Kac "
        "(1943), S. Rice (1944), and R. Adler, J. Taylor, Random Fields "
        "and Geometry (2007)."
    )
    note: ClassVar[str] = (
        "Minima become rare as n grows; the sentence says whether the counts support an "
        "exponential or a power law."
    )

    largest: int = integer(
        4,
        "Largest n",
        symbol="n",
        ge=1,
        le=5,
        slider=(1, 4),
        help="Functions of 1, 2, … up to this many variables; 5 takes minutes.",
    )
    functions: int = integer(
        12,
        "Functions of each n",
        ge=2,
        le=1000,
        log=True,
        slider=(4, 100),
        help="Number of random functions that are searched for each n.",
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
        help="Number of random Hessians whose mean gives the Kac–Rice curve.",
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
            complete_counts = 0
            for number in range(self.functions):
                rng = numpy_generator(self.seed, stream(f"random_functions/{n}/{number}"))
                function = drawn(k, rng)
                points, lawful = function.critical_points(rng)
                counts.append(function.kinds(points))
                complete_counts += lawful
                spent += 4**n
                progress.report(spent / sum(work))
                if not progress.should_continue():
                    return
            kinds.append(np.stack(counts))
            complete.append(complete_counts)
            yield self._result(kinds, complete, expected, spent / sum(work))

    def _result(
        self, kinds: list[Array], complete: list[int], expected: list[Array], done: float
    ) -> DemonstrationResult:
        n = np.arange(1, len(kinds) + 1, dtype=np.float64)
        ratio = numbers([_per_minimum(counts) for counts in kinds])
        predicted = numbers([mean[1:-1].sum() / mean[0] for mean in expected])
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
            rows.append(
                (
                    i + 1,
                    float(mean.sum()),
                    float(expected[i].sum()),
                    float(mean[0]),
                    float(mean[-1]),
                    saddles,
                    ratio[i],
                    low[i],
                    high[i],
                    predicted[i],
                    by_index,
                    complete[i],
                    len(counts),
                )
            )
        headings = (
            "n",
            "critical points",
            "expected (Kac–Rice)",
            "minima",
            "maxima",
            "share of saddles",
            "saddles per minimum",
            "low",
            "high",
            "predicted per minimum",
            "mean number of each index",
            "complete counts",
            "functions",
        )
        last = kinds[-1].sum(axis=0)
        figures = {
            "share_of_saddles": float(rows[-1][5]),
            "saddles_per_minimum": float(ratio[-1]),
            "maxima_per_minimum": float(last[-1] / last[0]),
        }
        sentence = (
            f"Of the critical points of functions of {counted(len(kinds), 'variable')}, "
            f"{rows[-1][5]:.0%} are saddles: {ratio[-1]:.3g} for each minimum."
        )
        # A function of one variable has no saddle.
        several = n >= 2
        curves = [
            Curve(
                "counted",
                n[several],
                ratio[several],
                error=np.maximum(np.stack([ratio - low, high - ratio])[:, several], 0.0),
            ),
            Curve("Kac–Rice", n[several], predicted[several], style="predicted"),
            Curve(
                "2ⁿ − 2, independent signs", n[several], 2.0 ** n[several] - 2.0, style="predicted"
            ),
        ]
        if several.sum() > 1:
            growth = Growth(n[several], ratio[several], again[:, several])
            sentence += growth.sentence
            figures |= growth.figures
            curves += growth.curves
        missed = sum(len(counts) for counts in kinds) - sum(complete)
        sentence += (
            " All counts satisfy the laws of topology."
            if missed == 0
            else f" {counted(missed, 'count violates', 'counts violate')} a law of topology: some "
            "critical points were missed."
        )
        share = numbers([row[5] for row in rows])
        plots = [
            Plot(
                "Share of saddles",
                Axis("n"),
                Axis("share of saddles"),
                (Curve("counted", n, share),),
            )
        ]
        if several.any():
            title = "Saddles for each minimum"
            plots.insert(
                0, Plot(title, Axis("n"), Axis("saddles per minimum", log=True), tuple(curves))
            )
        return DemonstrationResult(table(headings, rows), tuple(plots), sentence, figures, done)


class Growth:
    """Exponential and power law, both fitted to saddles per minimum against the dimension.

    The fits are of logarithms, weighted by their bootstrap errors; both have two parameters, so the
    difference of their AIC is that of their χ².

    Args:
        n: dimensions, ``[S]``. ratio: saddles per minimum, ``[S]``. again: the same of resampled
            functions, ``[B, S]``.
    """

    def __init__(self, n: Array, ratio: Array, again: Array) -> None:
        self._n, self._ratio = n, ratio
        # At two variables the ratio hardly varies; a fit must not rest on that point alone.
        self._error = np.maximum(np.log(again).std(axis=0), _MIN_ERROR)
        best, spread = self._fits(ratio), np.stack([self._fits(one) for one in again])
        intervals = np.percentile(spread, [2.5, 97.5], axis=0)
        self._slopes, self._chi = best[:2], best[2:4]
        self._intervals = intervals
        self._difference = float(best[4])

    def _fits(self, ratio: Array) -> Array:
        """Return the two slopes, the two χ², and the first χ² less the second, ``[5]``."""
        slopes, chi = [], []
        for x in (self._n, np.log(self._n)):
            line = np.polyfit(x, np.log(ratio), 1, w=1.0 / self._error)
            slopes.append(float(line[0]))
            left = (np.log(ratio) - np.polyval(line, x)) / self._error
            chi.append(float(left @ left))
        return numbers([*slopes, *chi, chi[0] - chi[1]])

    @property
    def figures(self) -> dict[str, float]:
        """Factor for each dimension, exponent, and difference of AIC, with their 95% intervals."""
        low, high = self._intervals
        return {
            "factor": float(np.exp(self._slopes[0])),
            "factor_low": float(np.exp(low[0])),
            "factor_high": float(np.exp(high[0])),
            "exponent": float(self._slopes[1]),
            "exponent_low": float(low[1]),
            "exponent_high": float(high[1]),
            "aic_difference": self._difference,
            "aic_difference_low": float(low[4]),
            "aic_difference_high": float(high[4]),
        }

    @property
    def sentence(self) -> str:
        """Both fits, and which of them the counts support."""
        f = self.figures
        return (
            f" An exponential grows by a factor of {f['factor']:.3g} (95% interval "
            f"{f['factor_low']:.3g} to {f['factor_high']:.3g}) with each dimension, a power law "
            "with "
            f"an exponent of {f['exponent']:.3g} ({f['exponent_low']:.3g} to "
            f"{f['exponent_high']:.3g}). {self._verdict()}"
        )

    def _verdict(self) -> str:
        freedom = len(self._n) - 2
        if freedom == 0:
            return "Two dimensions cannot tell the two apart."
        limit = _CHI_SQUARE[min(freedom, len(_CHI_SQUARE)) - 1]
        fits = [bool(chi <= limit) for chi in self._chi]
        f = self.figures
        low, high = f["aic_difference_low"], f["aic_difference_high"]
        evidence = (
            f"(χ² {self._chi[0]:.2g} and {self._chi[1]:.2g} with "
            f"{counted(freedom, 'degree')} of freedom; AIC difference {self._difference:.2g}, "
            f"95% interval {low:.2g} to {high:.2g})"
        )
        if not any(fits):
            return f"Neither fits the counts {evidence}."
        if all(fits) and low <= 0.0 <= high:
            return f"Both fit the counts, which do not tell them apart {evidence}."
        exponential = self._difference < 0.0 if all(fits) else fits[0]
        better, other = (
            ("exponential", "power law") if exponential else ("power law", "exponential")
        )
        return f"The {better} fits the counts better than the {other} {evidence}."

    @property
    def curves(self) -> list[Curve]:
        """The two fits."""
        curves = []
        for name, x in (("exponential fit", self._n), ("power-law fit", np.log(self._n))):
            line = np.polyfit(x, np.log(self._ratio), 1, w=1.0 / self._error)
            curves.append(Curve(name, self._n, np.exp(np.polyval(line, x)), style="predicted"))
        return curves


def _per_minimum(counts: Array) -> float:
    """Return saddles per minimum of pooled counts ``[F, n + 1]``.

    Every function on a torus has a minimum.
    """
    return float(counts[:, 1:-1].sum() / counts[:, 0].sum())
