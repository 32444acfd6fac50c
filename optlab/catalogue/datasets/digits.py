"""Handwritten digits: real data, small enough to watch the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets._scikit import classified
from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape


class Digits(Dataset):
    """1,797 handwritten digits as 8 × 8 gray images, ten classes.

    The test part of the UCI data set "Optical recognition of handwritten digits", as shipped with
    scikit-learn; no download.
    """

    name: ClassVar[str] = "digits"
    label: ClassVar[str] = "Digits (8 × 8 images)"
    short: ClassVar[str] = "Digits"
    group: ClassVar[str] = "Real, classes"
    sort_order: ClassVar[int] = 10
    source: ClassVar[str] = (
        "E. Alpaydin, C. Kaynak (1998), UCI Machine Learning Repository; "
        "sklearn.datasets.load_digits."
    )

    def shape(self) -> DataShape:
        return DataShape((8, 8), 10, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        x, y = classified("digits.csv.gz", header=False)
        return x.reshape(-1, 8, 8), y

    def loading(self) -> tuple[str, ...]:
        return (
            "from sklearn.datasets import load_digits",
            "x, y = load_digits(return_X_y=True)",
            "x = x.reshape(-1, 8, 8)",
        )

    def input_names(self) -> Sequence[str]:
        return [f"pixel {row},{column}" for row in range(8) for column in range(8)]

    def class_names(self) -> Sequence[str]:
        return [str(digit) for digit in range(10)]
