"""Two concentric circles: classes that no straight line separates, with adjustable noise."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import integer, number


class Circles(Dataset):
    """A circle of radius 1 and a smaller one inside it: two classes in the plane.

    The points have Gaussian noise. By symmetry the best softmax regression has zero weights and the
    loss log 2, so a remaining loss is not the fault of the optimizer.
    """

    name: ClassVar[str] = "circles"
    label: ClassVar[str] = "Two circles"
    short: ClassVar[str] = "Circles"
    group: ClassVar[str] = "Generated, known distribution"
    sort_order: ClassVar[int] = 63
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "radius", "noise")
    rule: ClassVar[tuple[str, ...]] = (
        r"x = r_y\,(\cos t,\ \sin t) + \sigma n,\quad r_0 = 1,\quad r_1 = r",
    )
    symbols: ClassVar[dict[str, str]] = {
        "t": "uniform on [0, 2π]",
        "n": "standard normal noise in the plane",
        "r": "radius of the inner circle",
    }
    source: ClassVar[str] = (
        "Like sklearn.datasets.make_circles, but with random instead of evenly spaced t, so that "
        "examples are independent."
    )

    size: int = integer(
        1000,
        "Examples",
        ge=10,
        le=1_000_000,
        log=True,
        slider=(100, 20_000),
        help="Number of examples drawn.",
    )
    radius: float = number(
        0.5,
        "Inner radius",
        symbol="r",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.99),
        help="Radius of the inner circle; the outer one has radius 1.",
        why="At 0.5, noise of 0.1 causes hardly any overlap.",
    )
    noise: float = number(
        0.1,
        "Noise",
        symbol="σ",
        ge=0.0,
        slider=(0.0, 1.0),
        help="Standard deviation of the noise on each input.",
    )

    def shape(self) -> DataShape:
        return DataShape((2,), 2, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self.draw(rng, self.size)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        y = rng.integers(0, 2, n)
        t = rng.uniform(0.0, 2.0 * np.pi, n)
        r = np.where(y == 0, 1.0, self.radius)
        x = r[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)
        return x + self.noise * rng.standard_normal((n, 2)), y.astype(np.int64)

    def class_names(self) -> list[str]:
        return ["outer", "inner"]
