"""Wine: three classes from a chemical analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.data import DataShape
from optlab.datasets.base import Dataset


class Wine(Dataset):
    """178 Italian wines described by 13 chemical measurements; three cultivars.

    Small enough that every example counts: the validation error moves in visible jumps.
    """

    name: ClassVar[str] = "wine"
    label: ClassVar[str] = "Wine"
    group: ClassVar[str] = "Real, classes"
    place: ClassVar[int] = 30
    source: ClassVar[str] = "S. Aeberhard, M. Forina (1992), UCI Machine Learning Repository; sklearn.datasets.load_wine."

    def shape(self) -> DataShape:
        return DataShape((13,), 3, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        from sklearn.datasets import load_wine

        x, y = load_wine(return_X_y=True)
        return x.astype(np.float64), y.astype(np.int64)

    def input_names(self) -> Sequence[str]:
        from sklearn.datasets import load_wine

        return [str(name) for name in load_wine().feature_names]

    def class_names(self) -> Sequence[str]:
        return ["cultivar 0", "cultivar 1", "cultivar 2"]
