"""Iris: the smallest real set, four inputs and three classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets._scikit import classified
from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape


class Iris(Dataset):
    """150 iris flowers described by four lengths; three species.

    One species is linearly separable from the others, two overlap a little.
    """

    name: ClassVar[str] = "iris"
    label: ClassVar[str] = "Iris"
    group: ClassVar[str] = "Real, classes"
    sort_order: ClassVar[int] = 40
    source: ClassVar[str] = "R. A. Fisher (1936); sklearn.datasets.load_iris."

    def shape(self) -> DataShape:
        return DataShape((4,), 3, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return classified("iris.csv")

    def loading(self) -> tuple[str, ...]:
        return (
            "from sklearn.datasets import load_iris",
            "x, y = load_iris(return_X_y=True)",
        )

    def input_names(self) -> Sequence[str]:
        return ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]

    def class_names(self) -> Sequence[str]:
        return ["setosa", "versicolor", "virginica"]
