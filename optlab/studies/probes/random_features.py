"""Least squares on random features: the test error against their number."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

import numpy as np

from optlab.core import registry
from optlab.core.fields import integer, number
from optlab.objective.seeding import numpy_generator
from optlab.studies.probes.base import Probe


class RandomFeatures(Probe):
    """The test error of the smallest solution of least squares on ReLU features of digits.

    Without ridge, and with as many features as examples, the solution fits the noise of the labels
    at any price; with many more it fits it at a lower one.
    """

    name: ClassVar[str] = "random_features"
    label: ClassVar[str] = "Random features"
    source: ClassVar[str] = (
        "P. Nakkiran et al. (2020), Deep double descent; M. Belkin, D. Hsu, S. Ma, S. Mandal (2019)."
    )

    features: int = integer(400, "Features", symbol="P", ge=1, le=20_000, help="Random features.")
    examples: int = integer(400, "Examples", symbol="N", ge=10, le=1200, help="Training examples.")
    noise: float = number(
        0.15, "Label noise", ge=0.0, le=1.0, help="Share of the training labels drawn at random."
    )
    ridge: float = number(0.0, "Ridge", ge=0.0, help="Penalty on the squared weights, per example.")

    def measure(self, seed: int) -> Generator[float, None, float]:
        yield 0.0
        rng = numpy_generator(seed, "probe/random_features")
        given = {"name": "digits", "seed": seed, "validation": 0.0, "test": 0.3}
        data = registry.build("dataset", given).load()  # type: ignore[attr-defined]
        flat = (part.x.reshape(len(part.x), -1) for part in (data.training, data.test))
        x, unseen = flat
        x, y = x[: self.examples], data.training.y[: self.examples].copy()
        wrong = rng.random(len(y)) < self.noise
        y[wrong] = rng.integers(0, data.shape.outputs, int(wrong.sum()))
        weights = rng.standard_normal((x.shape[1], self.features)) / np.sqrt(x.shape[1])
        known, unknown = (np.maximum(part @ weights, 0.0) for part in (x, unseen))
        targets = np.eye(data.shape.outputs)[y]
        if self.ridge:
            gram = known.T @ known + self.ridge * len(y) * np.eye(self.features)
            solution = np.linalg.solve(gram, known.T @ targets)
        else:
            solution = np.linalg.lstsq(known, targets, rcond=None)[0]
        yield 1.0
        return float(np.mean((unknown @ solution).argmax(axis=1) != data.test.y))

    def words(self) -> str:
        return "test error of least squares on random features"
