"""A mixture of Gaussians: a distribution known exactly, in any dimension."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import integer, number


class GaussianMixture(Dataset):
    """One spherical Gaussian of unit variance for each class.

    All centers have the same distance from the origin.
    """

    name: ClassVar[str] = "gaussian_mixture"
    label: ClassVar[str] = "Gaussian mixture"
    group: ClassVar[str] = "Generated, known distribution"
    sort_order: ClassVar[int] = 62
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "distance")
    rule: ClassVar[tuple[str, ...]] = (r"x \mid y \sim N\left(d\,u_y,\ I\right)",)
    symbols: ClassVar[dict[str, str]] = {
        "u_y": "a random unit vector for class y, fixed by the data seed"
    }
    source: ClassVar[str] = "Standard; the Bayes classifier is the nearest center."

    size: int = integer(
        1000,
        "Examples",
        ge=10,
        le=1_000_000,
        log=True,
        slider=(100, 20_000),
        help="Number of examples drawn.",
    )
    classes: int = integer(
        3, "Classes", ge=2, le=100, slider=(2, 10), help="Number of Gaussians, one class each."
    )
    dimension: int = integer(
        2, "Inputs", ge=1, le=1000, log=True, slider=(1, 100), help="Number of input values."
    )
    distance: float = number(
        3.0,
        "Distance",
        symbol="d",
        ge=0.0,
        slider=(0.0, 10.0),
        unit="σ",
        help="Distance of each center from the origin.",
    )

    def shape(self) -> DataShape:
        return DataShape((self.dimension,), self.classes, "classes")

    def centers(self) -> NDArray[np.float64]:
        """Return the centers, ``[classes, dimension]``."""
        directions = self.rng("centers").standard_normal((self.classes, self.dimension))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return self.distance * directions

    def expected(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        centers = self.centers()
        # The squared norm of x is common to all classes.
        scores = x @ centers.T - 0.5 * np.square(centers).sum(axis=1)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = scores / scores.sum(axis=1, keepdims=True)
        return probabilities

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self.draw(rng, self.size)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        y = rng.integers(0, self.classes, n)
        return self.centers()[y] + rng.standard_normal((n, self.dimension)), y.astype(np.int64)

    def class_names(self) -> list[str]:
        return [f"center {index}" for index in range(self.classes)]
