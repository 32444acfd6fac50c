"""Wine: three classes from a chemical analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets._scikit import classified
from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape


class Wine(Dataset):
    """178 Italian wines described by 13 chemical measurements; three cultivars.

    Small enough that every example counts: the validation error moves in visible jumps.
    """

    name: ClassVar[str] = "wine"
    label: ClassVar[str] = "Wine"
    group: ClassVar[str] = "Real, classes"
    sort_order: ClassVar[int] = 30
    source: ClassVar[str] = (
        "S. Aeberhard, M. Forina (1992), UCI Machine Learning Repository; "
        "sklearn.datasets.load_wine."
    )

    def shape(self) -> DataShape:
        return DataShape((13,), 3, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return classified("wine_data.csv")

    def loading(self) -> tuple[str, ...]:
        return (
            "from sklearn.datasets import load_wine",
            "x, y = load_wine(return_X_y=True)",
        )

    def input_names(self) -> Sequence[str]:
        return [
            "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols",
            "flavanoids", "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue",
            "od280/od315_of_diluted_wines", "proline",
        ]  # fmt: skip

    def class_names(self) -> Sequence[str]:
        return ["cultivar 0", "cultivar 1", "cultivar 2"]
