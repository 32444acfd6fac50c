"""Diabetes: regression on real data, with the target standardized too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.data import DataShape
from optlab.datasets.base import Dataset


class Diabetes(Dataset):
    """442 patients described by ten measurements; the target is the progression of diabetes a year later.

    The target is given in standard deviations from its mean over all patients, so that a squared error of 1 is what the best constant
    prediction reaches.
    """

    name: ClassVar[str] = "diabetes"
    label: ClassVar[str] = "Diabetes progression"
    group: ClassVar[str] = "Real, regression"
    place: ClassVar[int] = 50
    source: ClassVar[str] = "B. Efron et al. (2004), Least Angle Regression; sklearn.datasets.load_diabetes."

    def shape(self) -> DataShape:
        return DataShape((10,), 1, "regression")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from sklearn.datasets import load_diabetes

        x, y = load_diabetes(return_X_y=True)
        return x.astype(np.float64), ((y - y.mean()) / y.std()).astype(np.float64)[:, None]

    def input_names(self) -> Sequence[str]:
        from sklearn.datasets import load_diabetes

        return [str(name) for name in load_diabetes().feature_names]
