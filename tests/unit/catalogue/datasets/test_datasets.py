"""Data sets: real ones against scikit-learn's raw values, generated ones against their
distribution, and the split of both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn import datasets as raw

from optlab.core import registry
from optlab.core.data import Data
from optlab.core.errors import InvalidInput

REAL = {
    "digits": raw.load_digits,
    "breast_cancer": raw.load_breast_cancer,
    "wine": raw.load_wine,
    "iris": raw.load_iris,
    "diabetes": raw.load_diabetes,
}
GENERATED = {
    "moons": {"size": 400},
    "spirals": {"size": 400},
    "gaussian_mixture": {"size": 400, "dimension": 3},
}


def make(name: str, **values: Any) -> Any:
    return registry.build("dataset", {"name": name, **GENERATED.get(name, {}), **values})


def rows(data: Data) -> np.ndarray:
    return np.concatenate(
        [part.x.reshape(len(part), -1) for part in (data.training, data.validation, data.test)]
    )


def lines(x: np.ndarray, y: np.ndarray) -> list[tuple[float, ...]]:
    return sorted(map(tuple, np.round(np.column_stack([x, y]), 9)))


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("standardize", [True, False])
def test_that_a_real_set_holds_scikit_learns_values(name: str, standardize: bool) -> None:
    data = make(name, standardize=standardize).load()
    x, y = REAL[name](return_X_y=True)
    if name == "diabetes":
        y = (y - y.mean()) / y.std()
    ours = rows(data) * np.ravel(data.scale) + np.ravel(data.offset)
    targets = np.concatenate(
        [part.y for part in (data.training, data.validation, data.test)]
    ).reshape(len(x))
    np.testing.assert_allclose(lines(ours, targets), lines(x, y), rtol=1e-9, atol=2e-9)
    assert standardize or (not data.offset.any() and (data.scale == 1.0).all())


@pytest.mark.parametrize("name", REAL)
def test_that_names_belong_to_inputs_and_classes(name: str) -> None:
    dataset = make(name)
    data, shape = dataset.load(), dataset.shape()
    assert data.shape == shape
    assert data.training.x.shape[1:] == shape.inputs
    assert len(data.input_names) == shape.width
    if shape.task == "classes":
        assert set(data.training.y.tolist()) == set(range(shape.outputs))
        assert len(data.class_names) == shape.outputs
        if name in ("breast_cancer", "iris"):
            assert list(data.class_names) == [str(n) for n in REAL[name]().target_names]
    else:
        assert data.training.y.shape[1:] == (shape.outputs,)


@pytest.mark.parametrize("name", [*REAL, *GENERATED])
def test_that_the_parts_are_disjoint_and_together_everything(name: str) -> None:
    dataset = make(name, standardize=False)
    x, _ = dataset.examples(dataset.rng("examples"))
    data = dataset.load()
    sizes = [len(part) for part in (data.training, data.validation, data.test)]
    assert sum(sizes) == len(x)
    assert sizes[1:] == [round(0.2 * len(x))] * 2
    np.testing.assert_array_equal(
        np.sort(rows(data), axis=0), np.sort(x.reshape(len(x), -1), axis=0)
    )


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris", "moons"])
def test_that_every_part_has_each_class_in_its_proportion(name: str) -> None:
    data = make(name).load()
    counts = [
        np.bincount(part.y, minlength=data.shape.outputs)
        for part in (data.training, data.validation, data.test)
    ]
    full = sum(counts)
    for part, count in zip((data.training, data.validation, data.test), counts, strict=True):
        assert np.abs(count - full * len(part) / full.sum()).max() <= 2.0


@pytest.mark.parametrize("name", [*REAL, *GENERATED])
def test_that_inputs_are_standardized_only_on_the_training_part(name: str) -> None:
    data = make(name).load()
    x = data.training.x.reshape(len(data.training), -1)
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=1e-9)
    spread = x.std(axis=0)
    assert np.all(np.isclose(spread, 1.0) | np.isclose(spread, 0.0))
    others = np.concatenate([data.validation.x, data.test.x]).reshape(-1, x.shape[1])
    assert np.abs(others.mean(axis=0)).max() > 1e-6


@pytest.mark.parametrize("name", [*REAL, *GENERATED])
def test_that_a_data_seed_gives_the_same_split_and_another_one_another(name: str) -> None:
    first, again, other = (make(name, seed=seed).load() for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.training.x, again.training.x)
    np.testing.assert_array_equal(first.test.y, again.test.y)
    assert not np.array_equal(first.training.x, other.training.x)


def test_that_examples_of_a_part_do_not_cycle_through_the_classes() -> None:
    y = make("iris").load().training.y
    repeats = float((y[1:] == y[:-1]).mean())
    assert repeats == pytest.approx(1.0 / 3.0, abs=5.0 * math.sqrt(2.0 / 9.0 / len(y)))


def test_that_empty_validation_and_test_parts_are_possible_and_an_empty_training_part_is_not() -> (
    None
):
    data = make("iris", validation=0.0, test=0.0).load()
    assert (len(data.training), len(data.validation), len(data.test)) == (150, 0, 0)
    with pytest.raises(InvalidInput, match="leave no example of 10 for training"):
        make("moons", size=10, validation=0.5, test=0.5).load()


def test_that_moons_lie_on_two_half_circles() -> None:
    dataset = make("moons", size=2000, noise=0.0)
    x, y = dataset.examples(dataset.rng("examples"))
    np.testing.assert_allclose(np.hypot(x[y == 0, 0], x[y == 0, 1]), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.hypot(x[y == 1, 0] - 1.0, x[y == 1, 1] - 0.5), 1.0, rtol=1e-12)
    assert x[y == 0, 1].min() >= 0.0
    assert x[y == 1, 1].max() <= 0.5


def test_that_spiral_arms_are_turns_of_each_other() -> None:
    dataset = make("spirals", size=2000, arms=3, turns=1.5, noise=0.0)
    x, y = dataset.examples(dataset.rng("examples"))
    r = np.hypot(x[:, 0], x[:, 1])
    angle = np.arctan2(x[:, 1], x[:, 0]) - 2.0 * np.pi * (1.5 * r + y / 3.0)
    np.testing.assert_allclose(np.cos(angle), 1.0, atol=1e-9)
    assert float((r**2).mean()) == pytest.approx(0.5, abs=5.0 / math.sqrt(12.0 * 2000.0))


def test_that_a_gaussian_mixture_has_unit_variance_around_its_centers() -> None:
    dataset = make("gaussian_mixture", size=6000, classes=4, dimension=3, distance=5.0)
    x, y = dataset.examples(dataset.rng("examples"))
    centers = dataset.centers()
    np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 5.0)
    residual = x - centers[y]
    assert np.abs(residual.mean(axis=0)).max() < 5.0 / math.sqrt(6000.0)
    assert np.abs(np.cov(residual.T) - np.eye(3)).max() < 5.0 * math.sqrt(2.0 / 6000.0)
