"""Chebyshev polynomial: a few noiseless points of one curve, for full-batch descent."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import integer


class Chebyshev(Dataset):
    """Evenly spaced points of a Chebyshev polynomial on [−1, 1].

    One input, one target, no noise, and so few points that every step can use all of them: a
    problem on which the largest eigenvalue of the Hessian can be watched as it rises to the edge of
    stability.
    """

    name: ClassVar[str] = "chebyshev"
    label: ClassVar[str] = "Chebyshev polynomial"
    group: ClassVar[str] = "Computed, all examples"
    sort_order: ClassVar[int] = 66
    rule: ClassVar[tuple[str, ...]] = (
        r"x_i = -1 + \frac{2 i}{n - 1},\quad y_i = T_k\left(x_i\right),\quad "
        r"T_k\left(\cos t\right) = \cos k t",
    )
    symbols: ClassVar[dict[str, str]] = {"i": "0 to n − 1"}
    source: ClassVar[str] = (
        "J. Cohen, S. Kaur, Y. Li, Z. Kolter, A. Talwalkar (2021), Gradient descent on neural "
        "networks typically occurs at the edge of stability."
    )

    size: int = integer(
        20, "Points", symbol="n", ge=2, le=10_000, slider=(5, 200), help="Number of points."
    )
    degree: int = integer(
        4, "Degree", symbol="k", ge=1, le=64, slider=(1, 12), help="Degree of the polynomial."
    )

    def shape(self) -> DataShape:
        return DataShape((1,), 1, "regression")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = np.linspace(-1.0, 1.0, self.size)
        y = np.asarray(chebyshev.chebval(x, [0.0] * self.degree + [1.0]), dtype=np.float64)
        return x[:, None], y[:, None]
