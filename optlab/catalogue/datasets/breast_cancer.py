"""Breast cancer: two classes from thirty measurements on very different scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets._scikit import classified
from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import DataShape


class BreastCancer(Dataset):
    """569 breast masses described by 30 measurements of cell nuclei; malignant or benign.

    The scales of the inputs differ by four orders of magnitude: without standardization it is an
    ill-conditioned problem on real data.
    """

    name: ClassVar[str] = "breast_cancer"
    label: ClassVar[str] = "Breast cancer"
    group: ClassVar[str] = "Real, classes"
    sort_order: ClassVar[int] = 20
    source: ClassVar[str] = (
        "W. Wolberg et al. (1995), UCI Machine Learning Repository; "
        "sklearn.datasets.load_breast_cancer."
    )

    def shape(self) -> DataShape:
        return DataShape((30,), 2, "classes")

    def examples(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return classified("breast_cancer.csv")

    def loading(self) -> tuple[str, ...]:
        return (
            "from sklearn.datasets import load_breast_cancer",
            "x, y = load_breast_cancer(return_X_y=True)",
        )

    def input_names(self) -> Sequence[str]:
        cells = [
            "radius", "texture", "perimeter", "area", "smoothness", "compactness",
            "concavity", "concave points", "symmetry", "fractal dimension",
        ]  # fmt: skip
        return (
            [f"mean {name}" for name in cells]
            + [f"{name} error" for name in cells]
            + [f"worst {name}" for name in cells]
        )

    def class_names(self) -> Sequence[str]:
        return ["malignant", "benign"]
