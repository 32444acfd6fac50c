"""Interleaved spirals: a boundary that is hard to learn for a small network."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import integer, number


class Spirals(Dataset):
    """Interleaved spiral arms in the plane, one class per arm.

    The more turns, the longer the plateau of the loss before a network learns the arms.
    """

    name: ClassVar[str] = "spirals"
    label: ClassVar[str] = "Spirals"
    group: ClassVar[str] = "Generated, known distribution"
    sort_order: ClassVar[int] = 61
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "turns", "noise")
    rule: ClassVar[tuple[str, ...]] = (
        r"x = r\,(\cos\phi,\ \sin\phi) + \sigma n,\quad \phi = 2\pi\left(T r + y / C\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "r": "radius, the square root of a uniform number, so that examples fill the disk evenly",
        "T": "turns",
        "C": "number of arms",
        "n": "standard normal noise in the plane",
    }
    source: ClassVar[str] = "K. Lang, M. Witbrock (1988), Learning to tell two spirals apart."

    size: int = integer(
        1000,
        "Examples",
        ge=10,
        le=1_000_000,
        log=True,
        slider=(100, 20_000),
        help="Number of examples drawn.",
    )
    arms: int = integer(
        2,
        "Arms",
        symbol="C",
        ge=2,
        le=10,
        slider=(2, 10),
        help="Number of spiral arms, one class each.",
    )
    turns: float = number(
        1.0, "Turns", symbol="T", gt=0.0, le=10.0, slider=(0.25, 3.0), help="Full turns of an arm."
    )
    noise: float = number(
        0.02,
        "Noise",
        symbol="σ",
        ge=0.0,
        slider=(0.0, 0.2),
        help="Standard deviation of the noise on each input.",
    )

    def shape(self) -> DataShape:
        return DataShape((2,), self.arms, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self.draw(rng, self.size)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        y = rng.integers(0, self.arms, n)
        r = np.sqrt(rng.uniform(0.0, 1.0, n))
        angle = 2.0 * np.pi * (self.turns * r + y / self.arms)
        x = r[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return x + self.noise * rng.standard_normal((n, 2)), y.astype(np.int64)

    def class_names(self) -> list[str]:
        return [f"arm {arm}" for arm in range(self.arms)]
