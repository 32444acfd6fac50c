"""Two moons: a curved boundary in the plane, with adjustable noise."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import integer, number


class Moons(Dataset):
    """Two interleaving half circles of radius 1 with Gaussian noise; two classes in the plane."""

    name: ClassVar[str] = "moons"
    label: ClassVar[str] = "Two moons"
    short: ClassVar[str] = "Moons"
    group: ClassVar[str] = "Generated, known distribution"
    sort_order: ClassVar[int] = 60
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "noise")
    rule: ClassVar[tuple[str, ...]] = (
        r"x \mid y{=}0 = (\cos t,\ \sin t) + \sigma n",
        r"x \mid y{=}1 = (1 - \cos t,\ \tfrac{1}{2} - \sin t) + \sigma n",
    )
    symbols: ClassVar[dict[str, str]] = {
        "t": "uniform on [0, π]",
        "n": "standard normal noise in the plane",
    }
    source: ClassVar[str] = (
        "Like sklearn.datasets.make_moons, but with random instead of evenly spaced t, so that "
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
    noise: float = number(
        0.2,
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
        t = rng.uniform(0.0, np.pi, n)
        upper = np.stack([np.cos(t), np.sin(t)], axis=1)
        lower = np.stack([1.0 - np.cos(t), 0.5 - np.sin(t)], axis=1)
        x = np.where(y[:, None] == 0, upper, lower) + self.noise * rng.standard_normal((n, 2))
        return x, y.astype(np.int64)

    def class_names(self) -> list[str]:
        return ["upper", "lower"]
