"""Signs of the eigenvalues of random matrices that are shifted with height: how the index goes with
the cost.
"""

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
"""Dean and Majumdar's rate: of matrices of size n about one in exp(n² log(3)/4) has eigenvalues of
one sign only.
"""


class RandomMatrixIndex(Demonstration):
    """The share of negative eigenvalues of random symmetric matrices whose spectrum moves down as
    the height rises, against the semicircle law.

    At a critical point of a random function the Hessian is like a random matrix shifted in
    proportion to the height: high up nearly all eigenvalues are negative, far below nearly none,
    and minima are found only where the whole semicircle lies above zero. So a critical point of
    high cost is a saddle with many ways down.

    With no shift all eigenvalues have one sign with a probability that falls as exp(−n² log(3)/4):
    far faster than a coin's 2^−n.
    """

    name: ClassVar[str] = "random_matrix_index"
    label: ClassVar[str] = "Index of random matrices against height"
    row: ClassVar[str] = "C8"
    sort_order: ClassVar[int] = 81
    rule: ClassVar[tuple[str, ...]] = (
        r"H = M - h I,\quad M = M^{\top},\quad M_{ij} \sim N\left(0,\ \frac{1}{n}\right),\quad M_{ii} \sim N\left(0,\ \frac{2}{n}\right)",
        r"\text{share negative} \rightarrow \frac{1}{2} + \frac{h \sqrt{4 - h^2}}{4 \pi} + \frac{1}{\pi} \arcsin \frac{h}{2},\quad |h| \leq 2",
    )
    symbols: ClassVar[dict[str, str]] = {
        "h": "height, in units in which the semicircle reaches from −2 to 2",
        "n": "size of the matrix",
    }
    source: ClassVar[str] = (
        "Notes, section on saddle points; E. Wigner (1958); A. Bray, D. Dean, Statistics of critical points of Gaussian fields on large-dimensional "
        "spaces (2007); D. Dean, S. Majumdar, Large deviations of extreme eigenvalues of random matrices (2006)."
    )
    note: ClassVar[str] = "The larger the matrix, the narrower the band around the semicircle law."

    sizes: Sizes = sizes(
        (5, 20, 100), "Sizes", help="Sizes n of the matrices, up to 400; each makes a curve."
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
        help="Matrices of sizes 1 to 5 whose signs are looked at.",
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
                ("index", values.shape[1], float(h), float(m), float(d), float(e))
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
                f"Of matrices of size {values.shape[1]} the share of negative eigenvalues is the semicircle law's to {largest:.2g} at every height, and "
                f"it varies by {spread:.2g} at most from one to the next. Unshifted, {_chances(rare)} have positive eigenvalues only."
            )
            small = [
                ("all positive", n, 0.0, share, None, predicted)
                for n, (share, _, _), predicted in rare
            ]
            headings = ("what", "n", "height", "share", "deviation", "predicted")
            figures = {"largest_deviation": largest, "spread": spread}
            progress.report((number + 1) / parts)
            yield DemonstrationResult(
                table(headings, [*rows, *small]), plots, sentence, figures, (number + 1) / parts
            )
            if not progress.should_continue():
                return

    def _rare(self) -> list[tuple[int, tuple[float, float, float], float]]:
        """Size, share of unshifted matrices with positive eigenvalues only with its interval, and
        exp(−n² log(3)/4).
        """
        found = []
        for n in _SMALL:
            values = eigenvalues(n, self.signs, self.seed, NO_PROGRESS)
            assert values is not None
            hits = int((values[:, 0] > 0.0).sum())
            found.append(
                (
                    n,
                    (hits / len(values), *share_interval(hits, len(values))),
                    math.exp(-MINIMUM * n * n),
                )
            )
        return found


def eigenvalues(n: int, count: int, seed: int, progress: Progress) -> Array | None:
    """Eigenvalues ``[count, n]``, rising, of random symmetric matrices; None where the run is to
    end.
    """
    rng = numpy_generator(seed, stream(f"random_matrix_index/{n}"))
    found = []
    size = max(1, min(count, _BLOCK // (n * n)))
    for begin in range(0, count, size):
        drawn = rng.standard_normal((min(size, count - begin), n, n))
        found.append(np.linalg.eigvalsh((drawn + drawn.transpose(0, 2, 1)) / math.sqrt(2.0 * n)))
        if not progress.should_continue():
            return None
    return numbers(np.concatenate(found))


def semicircle(height: Array) -> Array:
    """Share of the semicircle on [−2, 2] below ``height``."""
    h = np.clip(height, -2.0, 2.0)
    return numbers(0.5 + h * np.sqrt(4.0 - h * h) / (4.0 * math.pi) + np.arcsin(0.5 * h) / math.pi)


def _chances(rare: list[tuple[int, tuple[float, float, float], float]]) -> str:
    return ", ".join(f"{share:.3g} of size {n}" for n, (share, _, _), _ in rare if n in (1, 2, 3))


def _rare_plot(rare: list[tuple[int, tuple[float, float, float], float]]) -> Plot:
    n = numbers([row[0] for row in rare])
    share, low, high = (numbers([row[1][i] for row in rare]) for i in range(3))
    # A share of zero has no place on a logarithmic axis.
    seen = share > 0.0
    curves = (
        Curve(
            "measured", n[seen], share[seen], error=np.stack([share - low, high - share])[:, seen]
        ),
        Curve("exp(−n² log(3)/4)", n, numbers([row[2] for row in rare]), style="predicted"),
        Curve("2⁻ⁿ, signs by coin", n, 2.0**-n, style="predicted"),
    )
    return Plot("Share with positive eigenvalues only", Axis("n"), Axis("share", log=True), curves)
