"""Modular addition: all sums of two numbers modulo a prime, part of which are never shown."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import integer


class ModularAddition(Dataset):
    """Every pair of numbers below p, each as p inputs of which one is 1, and the class of their sum.

    A network can memorize the pairs of the training part long before it finds the rule that the
    other pairs need: the validation error falls long after the training error, if it falls at all.
    """

    name: ClassVar[str] = "modular_addition"
    label: ClassVar[str] = "Modular addition"
    group: ClassVar[str] = "Computed, all examples"
    sort_order: ClassVar[int] = 67
    rule: ClassVar[tuple[str, ...]] = (r"y = \left(a + b\right)\ \text{mod}\ p",)
    symbols: ClassVar[dict[str, str]] = {"a, b": "numbers from 0 to p − 1, one-hot"}
    source: ClassVar[str] = (
        "A. Power, Y. Burda, H. Edwards, I. Babuschkin, V. Misra (2022), Grokking: generalization "
        "beyond overfitting on small algorithmic datasets."
    )

    modulus: int = integer(
        47,
        "Modulus",
        symbol="p",
        ge=2,
        le=257,
        slider=(5, 97),
        help="There are p² examples of p classes.",
    )

    def shape(self) -> DataShape:
        return DataShape((2 * self.modulus,), self.modulus, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        a, b = np.divmod(np.arange(self.modulus**2), self.modulus)
        one = np.eye(self.modulus)
        return np.concatenate([one[a], one[b]], axis=1), (a + b) % self.modulus
