"""Copy task: recall a symbol from the beginning of a sequence at its end."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import flag, integer, number


class CopyTask(Dataset):
    """A symbol at the first step, a delay of pure noise, and a signal to answer at the last step.

    The answer depends only on the first step. For each step of the delay the gradient passes
    through the recurrent weights once: the longer the delay, the more it vanishes or explodes.
    """

    name: ClassVar[str] = "copy_task"
    label: ClassVar[str] = "Copy after a delay"
    group: ClassVar[str] = "Generated, sequences"
    sort_order: ClassVar[int] = 71
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "noise")
    rule: ClassVar[tuple[str, ...]] = (
        r"x_1 = e_y,\quad x_2, \ldots, x_{D+1} = 0,\quad x_{D+2} = e_{k+1}",
        r"x_t \leftarrow x_t + \sigma n",
    )
    symbols: ClassVar[dict[str, str]] = {
        "e_j": "vector of k + 1 values: 1 at index j, 0 elsewhere",
        "y": "the symbol, drawn uniformly from 1, …, k",
        "D": "delay",
        "n": "standard normal noise",
    }
    source: ClassVar[str] = (
        "After S. Hochreiter, J. Schmidhuber (1997), with one symbol to recall instead of several; "
        "notes, long-term dependencies."
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
    symbols_shown: int = integer(
        4,
        "Symbols",
        symbol="k",
        ge=2,
        le=100,
        slider=(2, 10),
        help="Number of different symbols, one class each.",
    )
    delay: int = integer(
        10,
        "Delay",
        symbol="D",
        unit="steps",
        ge=0,
        le=10_000,
        slider=(0, 200),
        help="Steps between the symbol and the signal to answer.",
    )
    noise: float = number(
        0.1,
        "Noise",
        symbol="σ",
        ge=0.0,
        slider=(0.0, 1.0),
        help="Standard deviation of the noise on each input.",
        why="Some, so that no two sequences are the same.",
    )
    standardize: bool = flag(
        False,
        "Standardize",
        help="Shift and scale every input to mean 0 and standard deviation 1 on the training part.",
        why="Off: it would scale the noise of the delay up to the size of the symbols.",
    )

    def shape(self) -> DataShape:
        return DataShape((self.delay + 2, self.symbols_shown + 1), self.symbols_shown, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self.draw(rng, self.size)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        y = rng.integers(0, self.symbols_shown, n)
        x = np.zeros((n, *self.shape().inputs))
        x[np.arange(n), 0, y] = 1.0
        x[:, -1, -1] = 1.0
        return x + self.noise * rng.standard_normal(x.shape), y.astype(np.int64)

    def input_names(self) -> list[str]:
        features = [*(f"symbol {symbol}" for symbol in range(self.symbols_shown)), "signal"]
        return [f"{feature} at {step}" for step in range(self.delay + 2) for feature in features]

    def class_names(self) -> list[str]:
        return [f"symbol {symbol}" for symbol in range(self.symbols_shown)]
