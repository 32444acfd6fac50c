"""Least squares with a chosen condition number: the quadratic bowl, as a data set."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import flag, integer, number


class LeastSquares(Dataset):
    """Noisy linear regression whose Hessian has a condition number that you choose.

    The variances of the inputs along random directions fall geometrically from 1 to 1/κ. Over all
    examples the inputs are exactly centered and uncorrelated, not only in expectation: without
    validation and test parts the Hessian of the squared error is exactly twice the covariance.
    Fresh examples are independent and normal with that covariance, so the risk is known: see
    :meth:`risk`.
    """

    name: ClassVar[str] = "least_squares"
    label: ClassVar[str] = "Ill-conditioned least squares"
    short: ClassVar[str] = "Least squares"
    group: ClassVar[str] = "Generated, known distribution"
    sort_order: ClassVar[int] = 65
    endless: ClassVar[bool] = True
    value_fields: ClassVar[tuple[str, ...]] = (*Dataset.value_fields, "condition", "noise")
    rule: ClassVar[tuple[str, ...]] = (
        r"\frac{1}{n} \sum_i x_i x_i^\top = "
        r"Q\, \text{diag}\left(1, \ldots, \kappa^{-1}\right) Q^\top,\quad \sum_i x_i = 0",
        r"y = w^\top x + \sigma n",
    )
    symbols: ClassVar[dict[str, str]] = {
        "κ": "condition number",
        "Q": "random orthogonal matrix, fixed by the data seed",
        "w": "true weights, a random vector of length 1, fixed by the data seed",
        "n": "standard normal noise",
    }
    source: ClassVar[str] = "Notes, ill-conditioning; Deep Learning, sections 4.3.1 and 4.5."

    size: int = integer(
        1000,
        "Examples",
        ge=10,
        le=1_000_000,
        log=True,
        slider=(100, 20_000),
        help="Number of examples drawn.",
    )
    dimension: int = integer(
        5,
        "Inputs",
        ge=2,
        le=1000,
        log=True,
        slider=(2, 100),
        help="Number of input values; at most the number of examples minus 2.",
    )
    condition: float = number(
        100.0,
        "Condition number",
        symbol="κ",
        ge=1.0,
        le=1e12,
        log=True,
        slider=(1.0, 1e6),
        help="Largest curvature divided by the smallest; the number of steps that gradient descent "
        "needs is proportional to it.",
    )
    noise: float = number(
        0.1,
        "Noise",
        symbol="σ",
        ge=0.0,
        slider=(0.0, 1.0),
        help="Standard deviation of the noise on each target.",
    )
    standardize: bool = flag(
        False,
        "Standardize",
        help="Shift and scale every input to mean 0 and standard deviation 1 on the training part.",
        why="Off, because it would change the condition number.",
    )

    def shape(self) -> DataShape:
        return DataShape((self.dimension,), 1, "regression")

    def weights(self) -> NDArray[np.float64]:
        """Return the true weights ``w``, ``[dimension]``."""
        w = self.rng("weights").standard_normal(self.dimension)
        direction: NDArray[np.float64] = w / np.linalg.norm(w)
        return direction

    def covariance(self) -> NDArray[np.float64]:
        """Return the second moments of the inputs, ``[dimension, dimension]``."""
        q, variances = self._axes()
        moments: NDArray[np.float64] = (q * variances) @ q.T
        return moments

    def minimum(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float, float]:
        """Compute the minimum of the mean squared error by orthogonal factorization.

        Args:
            x: inputs ``[n, dimension]`` of any examples, standardized or not.
            y: targets ``[n, 1]``.

        Returns:
            Weights ``[dimension]``, bias, and mean squared error: no linear model has a lower one
            on these examples.
        """
        design = np.column_stack([x, np.ones(len(x))])
        solution = np.linalg.lstsq(design, y[:, 0], rcond=None)[0].astype(np.float64)
        return (
            solution[:-1],
            float(solution[-1]),
            float(np.mean((design @ solution - y[:, 0]) ** 2)),
        )

    def expected(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        values: NDArray[np.float64] = x @ self.weights()
        return values[:, None]

    def risk(self, weights: NDArray[np.float64], bias: float) -> float:
        """Return J* (8.2): the expected squared error of a linear model on fresh examples.

        Args:
            weights: ``[dimension]``, for inputs that are not standardized.
            bias: bias of the model.
        """
        error = weights - self.weights()
        return float(error @ self.covariance() @ error + bias**2 + self.noise**2)

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # White inputs by factorization, so that the condition number is exact for every draw.
        n = self.size
        if n < self.dimension + 2:
            raise InvalidInput(
                f"dataset.size is {n}, too few examples for exactly uncorrelated inputs; with "
                f"dataset.dimension {self.dimension} it must be at least {self.dimension + 2}.",
                "dataset.size",
            )
        draws = rng.standard_normal((n, self.dimension))
        white, _ = np.linalg.qr(draws - draws.mean(axis=0))
        q, variances = self._axes()
        x = np.sqrt(n) * white * np.sqrt(variances) @ q.T
        y = x @ self.weights() + self.noise * rng.standard_normal(n)
        return x, y[:, None]

    def draw(
        self, rng: np.random.Generator, n: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        q, variances = self._axes()
        x = rng.standard_normal((n, self.dimension)) * np.sqrt(variances) @ q.T
        y = x @ self.weights() + self.noise * rng.standard_normal(n)
        return x, y[:, None]

    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        q, r = np.linalg.qr(self.rng("axes").standard_normal((self.dimension, self.dimension)))
        exponents = np.arange(self.dimension) / (self.dimension - 1)
        return q * np.sign(np.diag(r)), self.condition**-exponents
