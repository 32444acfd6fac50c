"""Signs of the eigenvalues of random matrices shifted by a height: how the index depends on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from optlab.core.fields import Sizes, integer, sizes
from optlab.objective.seeding import numpy_generator
from optlab.studies.demonstrations._fits import share_interval
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

_SMALL = (1, 2, 3, 4, 5)
_BLOCK = 2_000_000
MINIMUM = 0.25 * math.log(3.0)
"""Dean and Majumdar's rate: the probability that all eigenvalues of a matrix of size n have one
sign falls as exp(−n² log(3)/4), to leading order in the exponent for large n.
"""
EXACT = {
    1: 0.5,
    2: (2.0 - math.sqrt(2.0)) / 4.0,
    3: (math.pi - 2.0 * math.sqrt(2.0)) / (4.0 * math.pi),
}
"""Probability that a matrix of size n of the Gaussian orthogonal ensemble is positive definite."""


class RandomMatrixIndex(Demonstration):
    """The share of negative eigenvalues of random symmetric matrices against the height.

    The spectrum moves down as the height rises; the share is compared with the semicircle law.

    At a critical point of a random function the Hessian resembles a random matrix shifted in
    proportion to the height: at large heights nearly all eigenvalues are negative, at low ones
    nearly none, and minima occur only where the entire semicircle lies above zero. A critical point
    of high cost is therefore a saddle with many directions of descent.

    Without a shift, all eigenvalues are positive with a probability that is known exactly for n ≤ 3
    and falls as exp(−n² log(3)/4) for large n, to leading order in the exponent: much faster than
    2^−n, the probability for independent signs.
    """

    name: ClassVar[str] = "random_matrix_index"
    label: ClassVar[str] = "Index of random matrices against height"
    row: ClassVar[str] = "C8"
    sort_order: ClassVar[int] = 81
    rule: ClassVar[tuple[str, ...]] = (
        (
            r"H = M - h I,\quad M = M^{\top},\quad M_{ij} \sim N\left(0,\ \frac{1}{n}\right),\quad "
            r"M_{ii} \sim N\left(0,\ \frac{2}{n}\right)"
        ),
        (
            r"\text{share negative} \rightarrow \frac{1}{2} + \frac{h \sqrt{4 - h^2}}{4 \pi} + "
            r"\frac{1}{\pi} \arcsin \frac{h}{2},\quad |h| \leq 2"
        ),
    )
    symbols: ClassVar[dict[str, str]] = {
        "h": "height, in units in which the semicircle extends from −2 to 2",
        "n": "size of the matrix",
    }
    source: ClassVar[str] = (
        "Notes, section on saddle points; E. Wigner (1958); A. Bray, D. Dean, Statistics of "
        "critical points of Gaussian fields on large-dimensional "
        "spaces (2007); D. Dean, S. Majumdar, Large deviations of extreme eigenvalues of random "
        "matrices (2006)."
    )
    note: ClassVar[str] = "The larger the matrix, the narrower the band around the semicircle law."

    sizes: Sizes = sizes(
        (5, 20, 100), "Sizes", help="Sizes n of the matrices, up to 400; one curve for each."
    )
    heights: int = integer(
        17,
        "Heights",
        ge=3,
        le=201,
        slider=(5, 41),
        help="Number of heights, evenly spaced from −2.4 to 2.4.",
    )
    matrices: int = integer(
        100,
        "Matrices",
        ge=2,
        le=100_000,
        log=True,
        slider=(10, 1000),
        help="Number of random matrices of each size.",
    )
    signs: int = integer(
        40_000,
        "Small matrices",
        ge=1000,
        le=10_000_000,
        log=True,
        slider=(1000, 1_000_000),
        help="Number of matrices of each size from 1 to 5 whose signs are counted.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        heights = np.linspace(-2.4, 2.4, self.heights)
        rows: list[tuple[float | int | str | None, ...]] = []
        curves = [
            Curve(
                "semicircle law",
                np.linspace(-2.4, 2.4, 201),
                semicircle(np.linspace(-2.4, 2.4, 201)),
                style="predicted",
            )
        ]
        rare = self._rare()
        largest, spread = 0.0, 0.0
        parts = len(self.sizes)
        for number, n in enumerate(self.sizes):
            values = eigenvalues(min(n, 400), self.matrices, self.seed, progress)
            if values is None:
                return
            shares = (values[:, None, :] < heights[None, :, None]).mean(axis=2)
            mean, deviation = shares.mean(axis=0), shares.std(axis=0, ddof=1)
            expected = semicircle(heights)
            rows += [
                ("index", values.shape[1], float(h), float(m), float(d), float(e), None, None, None)
                for h, m, d, e in zip(heights, mean, deviation, expected, strict=True)
            ]
            curves.append(Curve(f"n = {values.shape[1]}", heights, mean, error=deviation))
            largest, spread = float(np.abs(mean - expected).max()), float(deviation.max())
            plots = (
                Plot(
                    "Index against height",
                    Axis("height h"),
                    Axis("share of negative eigenvalues"),
                    tuple(curves),
                ),
                _rare_plot(rare),
            )
            sentence = (
                f"For matrices of size {values.shape[1]} the share of negative eigenvalues "
                "agrees with "
                f"the semicircle law to within {largest:.2g} at every height; its standard "
                "deviation "
                f"between matrices is at most {spread:.2g}. {_chances(rare)}"
            )
            small = [
                ("all positive", n, 0.0, share, None, EXACT.get(n), low, high, law)
                for n, (share, low, high), law in rare
            ]
            headings = (
                "what",
                "n",
                "height",
                "share",
                "deviation",
                "predicted",
                "low",
                "high",
                "leading order",
            )
            figures = {"largest_deviation": largest, "spread": spread}
            progress.report((number + 1) / parts)
            yield DemonstrationResult(
                table(headings, [*rows, *small]), plots, sentence, figures, (number + 1) / parts
            )
            if not progress.should_continue():
                return

    def _rare(self) -> list[tuple[int, tuple[float, float, float], float]]:
        """Return for each size the share of positive definite matrices without a shift.

        Each share has its interval, and beside it stands exp(−n² log(3)/4).
        """
        rows = []
        for n in _SMALL:
            values = eigenvalues(n, self.signs, self.seed, NO_PROGRESS)
            assert values is not None
            hits = int((values[:, 0] > 0.0).sum())
            rows.append(
                (
                    n,
                    (hits / len(values), *share_interval(hits, len(values))),
                    math.exp(-MINIMUM * n * n),
                )
            )
        return rows


def eigenvalues(n: int, count: int, seed: int, progress: Progress) -> Array | None:
    """Return the eigenvalues ``[count, n]``, ascending, of random symmetric matrices.

    None if the run is stopped.
    """
    rng = numpy_generator(seed, stream(f"random_matrix_index/{n}"))
    blocks = []
    size = max(1, min(count, _BLOCK // (n * n)))
    for begin in range(0, count, size):
        drawn = rng.standard_normal((min(size, count - begin), n, n))
        blocks.append(np.linalg.eigvalsh((drawn + drawn.transpose(0, 2, 1)) / math.sqrt(2.0 * n)))
        if not progress.should_continue():
            return None
    return numbers(np.concatenate(blocks))


def semicircle(height: Array) -> Array:
    """Return the share of the semicircle on [−2, 2] below ``height`` ``[n]``, in that shape."""
    h = np.clip(height, -2.0, 2.0)
    return numbers(0.5 + h * np.sqrt(4.0 - h * h) / (4.0 * math.pi) + np.arcsin(0.5 * h) / math.pi)


def _chances(rare: list[tuple[int, tuple[float, float, float], float]]) -> str:
    shares = ", ".join(
        f"{share:.3g} at size {n} (exact: {EXACT[n]:.3g})"
        for n, (share, _, _), _ in rare
        if n in EXACT
    )
    ratios = [law / share for _, (share, _, _), law in rare if share > 0.0]
    largest = max((n for n, (share, _, _), _ in rare if share > 0.0), default=1)
    return (
        f"Without a shift, the share with only positive eigenvalues is {shares}. The law "
        "exp(−n² log(3)/4) gives the leading order of the exponent for large n only: at sizes up "
        "to "
        f"{largest} it is {min(ratios):.2g} to {max(ratios):.2g} times too large."
    )


def _rare_plot(rare: list[tuple[int, tuple[float, float, float], float]]) -> Plot:
    n = numbers([row[0] for row in rare])
    share, low, high = (numbers([row[1][i] for row in rare]) for i in range(3))
    # A share of zero cannot be drawn on a logarithmic axis.
    nonzero = share > 0.0
    curves = (
        Curve(
            "measured",
            n[nonzero],
            share[nonzero],
            error=np.stack([share - low, high - share])[:, nonzero],
        ),
        Curve("exact", numbers(list(EXACT)), numbers(list(EXACT.values())), style="predicted"),
        Curve(
            "exp(−n² log(3)/4), leading order",
            n,
            numbers([row[2] for row in rare]),
            style="predicted",
        ),
        Curve("2⁻ⁿ, independent signs", n, 2.0**-n, style="predicted"),
    )
    return Plot("Share with only positive eigenvalues", Axis("n"), Axis("share", log=True), curves)
