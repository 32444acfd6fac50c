"""Adding problem: the sum of two marked numbers of a long sequence."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import flag, integer


class AddingProblem(Dataset):
    """Sequences of random numbers with two marked ones; the target is the sum of the two.

    There is a mark in each half. The best constant prediction, 1, has a squared error of 1/6. To do
    better, a network has to remember the first number over about half the sequence: the gradient
    must neither vanish nor explode over that distance.
    """

    name: ClassVar[str] = "adding_problem"
    label: ClassVar[str] = "Adding problem"
    group: ClassVar[str] = "Generated, sequences"
    sort_order: ClassVar[int] = 70
    endless: ClassVar[bool] = True
    rule: ClassVar[tuple[str, ...]] = (
        r"x_t = (u_t,\ m_t),\quad u_t \sim U(0, 1),\quad "
        r"m_t = 1\ \text{for two}\ t,\ 0\ \text{for all others}",
        r"y = \sum_t m_t u_t",
    )
    symbols: ClassVar[dict[str, str]] = {
        "u_t": "number at step t",
        "m_t": "mark at step t",
        "T": "length of the sequence",
    }
    source: ClassVar[str] = (
        "S. Hochreiter, J. Schmidhuber (1997), Long short-term memory; notes, long-term "
        "dependencies."
    )

    size: int = integer(
        2000,
        "Examples",
        ge=10,
        le=1_000_000,
        log=True,
        slider=(100, 20_000),
        help="Number of examples drawn.",
    )
    length: int = integer(
        20,
        "Length",
        symbol="T",
        unit="steps",
        ge=2,
        le=10_000,
        log=True,
        slider=(2, 500),
        help="Time steps of each sequence.",
    )
    standardize: bool = flag(
        False,
        "Standardize",
        help="Shift and scale every input to mean 0 and standard deviation 1 on the training part.",
        why="Off: each step would be scaled by its own few marks, so the same number would mean "
        "different things at different steps.",
    )

    def shape(self) -> DataShape:
        return DataShape((self.length, 2), 1, "regression")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.draw(rng, self.size)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        numbers = rng.uniform(0.0, 1.0, (n, self.length))
        half = self.length // 2
        marks = np.zeros((n, self.length))
        every = np.arange(n)
        marks[every, rng.integers(0, half, n)] = 1.0
        marks[every, rng.integers(half, self.length, n)] = 1.0
        return np.stack([numbers, marks], axis=2), (marks * numbers).sum(axis=1, keepdims=True)

    def input_names(self) -> list[str]:
        return [f"{what} {step}" for step in range(self.length) for what in ("number", "mark")]
