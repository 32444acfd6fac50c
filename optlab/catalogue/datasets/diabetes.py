"""Diabetes: regression on real data, with a standardized target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets._scikit import read
from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape


class Diabetes(Dataset):
    """442 patients with ten measurements; the target is disease progression one year later.

    The target is in standard deviations from its mean over all patients, so the best constant
    prediction has a squared error of 1.
    """

    name: ClassVar[str] = "diabetes"
    label: ClassVar[str] = "Diabetes progression"
    short: ClassVar[str] = "Diabetes"
    group: ClassVar[str] = "Real, regression"
    sort_order: ClassVar[int] = 50
    source: ClassVar[str] = (
        "B. Efron et al. (2004), Least Angle Regression; sklearn.datasets.load_diabetes."
    )

    def shape(self) -> DataShape:
        return DataShape((10,), 1, "regression")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = (
            read("diabetes_data_raw.csv.gz", delimiter=None),
            read("diabetes_target.csv.gz").ravel(),
        )
        # As in scikit-learn: every column has mean 0 and length 1.
        scaled = (x - x.mean(axis=0)) / x.std(axis=0) / len(x) ** 0.5
        return scaled, ((y - y.mean()) / y.std())[:, None]

    def loading(self) -> tuple[str, ...]:
        return (
            "from sklearn.datasets import load_diabetes",
            "x, y = load_diabetes(return_X_y=True)",
            "y = ((y - y.mean()) / y.std())[:, None]",
        )

    def input_names(self) -> Sequence[str]:
        return ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
