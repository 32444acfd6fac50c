"""Fresh examples: from the distribution of the stored ones, with their teacher, centers and axes,
in the units that training sees.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import ks_2samp

from optlab.catalogue.datasets.base import Dataset
from optlab.core import registry
from optlab.core.errors import InvalidInput

ENDLESS = [
    component.name
    for component in registry.components("dataset")
    if cast(type[Dataset], component).endless
]
N = 20_000
COMMON: dict[str, dict[str, Any]] = {"markov_text": {"characters": 3, "concentration": 10.0}}
"""Values with which no input is rare: the comparison is one of moments."""


def make(name: str, **values: Any) -> Any:
    return registry.build("dataset", {"name": name, **values})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_that_every_generated_set_is_endless_and_no_other_is() -> None:
    generated = [
        component.name
        for component in registry.components("dataset")
        if component.group.startswith("Generated")
    ]
    assert sorted(ENDLESS) == sorted(generated)
    assert len(ENDLESS) >= 8


@pytest.mark.parametrize("name", ENDLESS)
def test_that_fresh_and_stored_examples_have_one_distribution(name: str) -> None:
    dataset = make(name, size=N, **COMMON.get(name, {}))
    stored_x, stored_y = dataset.examples(dataset.rng("examples"))
    part = dataset.fresh(rng(), N)
    assert (
        part.x.shape == stored_x.shape
        and part.y.shape == stored_y.shape
        and part.y.dtype == stored_y.dtype
    )
    assert not np.array_equal(part.x, stored_x)
    stored, fresh = stored_x.reshape(N, -1), part.x.reshape(N, -1)
    if dataset.shape().task == "regression":
        stored, fresh = np.column_stack([stored, stored_y]), np.column_stack([fresh, part.y])
        groups = [(stored, fresh)]
    else:
        counts = [np.bincount(y, minlength=dataset.shape().outputs) / N for y in (stored_y, part.y)]
        assert np.abs(counts[0] - counts[1]).max() < 5.0 * np.sqrt(0.5 / N)
        groups = [
            (stored[stored_y == label], fresh[part.y == label]) for label in np.unique(stored_y)
        ]
    for old, new in groups:
        spread = np.maximum(old.std(axis=0), 1e-9)
        error = np.sqrt(1.0 / len(old) + 1.0 / len(new))
        assert np.all(np.abs(old.mean(axis=0) - new.mean(axis=0)) < 5.0 * spread * error)
        # Fourth moments of these sets are at most a few times the square of the second.
        scaled = [np.cov(((values - old.mean(axis=0)) / spread).T) for values in (old, new)]
        assert np.abs(scaled[0] - scaled[1]).max() < 15.0 * error
        for column in range(0, old.shape[1], max(1, old.shape[1] // 6)):
            assert ks_2samp(old[:, column], new[:, column]).pvalue > 1e-4, column


def test_that_fresh_targets_follow_from_their_inputs_as_the_stored_ones_do() -> None:
    teacher = make("teacher", seed=3)
    part = teacher.fresh(rng(), 500)
    assert np.array_equal(part.y, teacher.scores(part.x).argmax(axis=1))
    adding = make("adding_problem", length=7).fresh(rng(), 500)
    np.testing.assert_array_equal(
        adding.y[:, 0], (adding.x[:, :, 0] * adding.x[:, :, 1]).sum(axis=1)
    )
    copied = make("copy_task", noise=0.0).fresh(rng(), 500)
    assert np.array_equal(copied.x[:, 0].argmax(axis=1), copied.y)
    line = make("least_squares", noise=0.0, seed=4)
    part = line.fresh(rng(), 500)
    np.testing.assert_allclose(part.y[:, 0], part.x @ line.weights(), rtol=0, atol=1e-12)
    for mixture in (
        make("gaussian_mixture", seed=5, distance=50.0),
        make("gaussian_mixture", seed=6, distance=50.0),
    ):
        part = mixture.fresh(rng(), 500)
        distances = np.linalg.norm(part.x[:, None] - mixture.centers(), axis=2)
        assert np.array_equal(distances.argmin(axis=1), part.y)


def test_that_fresh_examples_of_least_squares_have_the_stated_covariance() -> None:
    dataset = make("least_squares", dimension=4, condition=30.0, noise=0.3)
    part = dataset.fresh(rng(), 100_000)
    error = 5.0 * np.sqrt(2.0 / 100_000)
    assert np.abs(part.x.T @ part.x / 100_000 - dataset.covariance()).max() < error
    assert np.abs(part.x.mean(axis=0)).max() < error
    assert (part.y[:, 0] - part.x @ dataset.weights()).var() == pytest.approx(0.09, rel=error)
    weights = dataset.weights() + np.array([0.5, -1.0, 0.0, 2.0])
    risk = ((part.x @ weights + 0.7 - part.y[:, 0]) ** 2).mean()
    assert dataset.risk(weights, 0.7) == pytest.approx(risk, rel=0.02)
    assert dataset.risk(dataset.weights(), 0.0) == pytest.approx(0.09)


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("standardize", [True, False])
def test_that_fresh_examples_are_in_the_units_that_training_sees(
    name: str, standardize: bool
) -> None:
    dataset = make(name, standardize=standardize, seed=2)
    data = dataset.load()
    raw, part = dataset.fresh(rng(), 300), dataset.fresh(rng(), 300, data.offset, data.scale)
    np.testing.assert_array_equal(part.x, (raw.x - data.offset) / data.scale)
    np.testing.assert_array_equal(part.y, raw.y)
    both = np.concatenate([data.training.x, data.validation.x, data.test.x])
    stored_x, _ = dataset.examples(dataset.rng("examples"))
    np.testing.assert_allclose(
        np.sort(both.ravel()),
        np.sort(((stored_x - data.offset) / data.scale).ravel()),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("name", "inputs", "targets"),
    [
        ("gaussian_mixture", 1391.1911099587703, 330.0),
        ("moons", 438.58805558463837, 172.0),
        ("spirals", 276.74054469146245, 172.0),
        ("circles", 320.92291799260863, 172.0),
        ("teacher", 2575.525395333533, 328.0),
        ("adding_problem", 3972.5825422726775, 322.1358757612709),
        ("copy_task", 2196.48246188598, 505.0),
        ("least_squares", 705.4436090921117, 3.3588672163233158),
    ],
)
def test_that_stored_examples_are_those_of_the_first_release(
    name: str, inputs: float, targets: float
) -> None:
    dataset = make(name, size=333, seed=5)
    x, y = dataset.examples(dataset.rng("examples"))
    assert np.abs(x).sum() == pytest.approx(inputs, rel=1e-9)
    assert y.sum() == pytest.approx(targets, rel=1e-9)


def test_that_a_set_of_unknown_distribution_refuses_with_a_reason() -> None:
    with pytest.raises(InvalidInput, match="'iris', whose distribution is not known") as refusal:
        make("iris").fresh(rng(), 10)
    assert refusal.value.field == "dataset.name"
