"""scikit-learn's tables against scikit-learn's own loaders, to the last bit."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets as raw

from optlab.catalogue.datasets import _scikit
from optlab.catalogue.datasets.base import Dataset
from optlab.core import registry
from optlab.core.errors import MissingPart

ROOT = Path(__file__).parents[4]


def dataset(name: str) -> Dataset:
    built = registry.build("dataset", {"name": name})
    assert isinstance(built, Dataset)
    return built


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer"])
def test_that_classified_tables_are_those_of_the_loaders(name: str) -> None:
    x, y = dataset(name).examples(np.random.default_rng(0))
    theirs = getattr(raw, f"load_{name}")()
    np.testing.assert_array_equal(x.reshape(len(x), -1), theirs.data)
    np.testing.assert_array_equal(y, theirs.target)
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    if name != "digits":
        assert list(dataset(name).input_names()) == [str(each) for each in theirs.feature_names]


def test_that_diabetes_is_scaled_as_the_loader_scales_it() -> None:
    x, y = dataset("diabetes").examples(np.random.default_rng(0))
    theirs = raw.load_diabetes()
    np.testing.assert_array_equal(x, theirs.data)
    np.testing.assert_array_equal(
        y[:, 0], (theirs.target - theirs.target.mean()) / theirs.target.std()
    )
    assert list(dataset("diabetes").input_names()) == theirs.feature_names


def test_that_loading_data_imports_neither_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys, numpy; from optlab.core import registry; "
        "[registry.build('dataset', {'name': name}).examples(numpy.random.default_rng(0)) for "
        "name in "
        "('digits', 'iris', 'wine', 'breast_cancer', 'diabetes')]; print(sorted({'sklearn', "
        "'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_that_a_missing_library_or_file_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingPart, match=r"The installed scikit-learn has no penguins\.csv"):
        _scikit.read("penguins.csv")

    def nothing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    with pytest.raises(MissingPart, match="pip install scikit-learn"):
        dataset("iris").examples(np.random.default_rng(0))
