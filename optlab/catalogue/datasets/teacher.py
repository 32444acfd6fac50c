"""Teacher network: targets computed by a random network, so that they are known to be learnable."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.fields import choice, integer, number


class Teacher(Dataset):
    """Gaussian inputs, with targets from a random network of one hidden layer.

    A student with tanh units, at least as many as the teacher, can represent the targets exactly,
    so the smallest cost is known: what remains above it is due to the optimizer. The smallest cost
    is easier to reach for a student that is wider than its teacher.
    """

    name: ClassVar[str] = "teacher"
    label: ClassVar[str] = "Teacher network"
    group: ClassVar[str] = "Generated, known distribution"
    sort_order: ClassVar[int] = 64
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "hidden", "noise")
    rule: ClassVar[tuple[str, ...]] = (
        r"x \sim N(0, I),\quad "
        r"s = \frac{1}{\sqrt{h}}\, V \tanh\left(\frac{2}{\sqrt{d}}\, W x\right) + \sigma n",
        r"y = s\ \text{for regression},\quad y = \text{argmax}_k\, s_k\ \text{for classes}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "W, V": "weights of the teacher, standard normal, fixed by the data seed",
        "d": "number of inputs",
        "h": "hidden units of the teacher",
        "n": "standard normal noise, on the scores before the argmax",
    }
    source: ClassVar[str] = (
        "E. Gardner, B. Derrida (1989); D. Saad, S. Solla (1995), Exact solution for on-line "
        "learning in multilayer neural networks."
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
    task: Literal["classes", "regression"] = choice(
        "classes",
        "Task",
        help="Whether the target is the index of the teacher's largest output (classes) or all of "
        "its outputs (regression).",
    )
    dimension: int = integer(
        10,
        "Inputs",
        symbol="d",
        ge=1,
        le=1000,
        log=True,
        slider=(1, 100),
        help="Number of input values.",
    )
    hidden: int = integer(
        4,
        "Teacher's hidden units",
        symbol="h",
        ge=1,
        le=4096,
        log=True,
        slider=(1, 64),
        help="Width of the teacher's hidden layer.",
    )
    outputs: int = integer(
        3, "Outputs", ge=2, le=100, slider=(2, 10), help="Number of classes, or of target values."
    )
    noise: float = number(
        0.0,
        "Noise",
        symbol="σ",
        ge=0.0,
        slider=(0.0, 1.0),
        help="Standard deviation of the noise on each output of the teacher.",
        why="Without noise the smallest cost is zero.",
    )

    def shape(self) -> DataShape:
        return DataShape((self.dimension,), self.outputs, self.task)

    def weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights of the teacher, scaled as in the rule.

        Returns:
            ``W`` ``[hidden, dimension]`` and ``V`` ``[outputs, hidden]``.
        """
        rng = self.rng("teacher")
        first = rng.standard_normal((self.hidden, self.dimension)) * 2.0 / np.sqrt(self.dimension)
        return first, rng.standard_normal((self.outputs, self.hidden)) / np.sqrt(self.hidden)

    def scores(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the teacher's outputs without noise.

        Args:
            x: inputs ``[n, dimension]``, not standardized.

        Returns:
            ``[n, outputs]``.
        """
        first, second = self.weights()
        outputs: NDArray[np.float64] = np.tanh(x @ first.T) @ second.T
        return outputs

    def expected(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        # The probability that noise leaves each score the largest has no closed form.
        return self.scores(x) if self.task == "regression" else None

    def examples(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        return self.draw(rng, self.size)

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64] | NDArray[np.float64]]:
        x = rng.standard_normal((n, self.dimension))
        scores = self.scores(x) + self.noise * rng.standard_normal((n, self.outputs))
        return x, scores.argmax(axis=1).astype(np.int64) if self.task == "classes" else scores
