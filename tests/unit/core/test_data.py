"""Splitting and standardizing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optlab.core.data import DataShape, filled, split_indices, standardized, unit_ranged


@given(
    st.integers(1, 300),
    st.floats(0.0, 0.5),
    st.floats(0.0, 0.5),
    st.integers(1, 5),
    st.integers(0, 1000),
)
def test_that_a_split_is_complete_disjoint_and_of_the_sizes_asked_for(
    n: int, validation: float, test: float, classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    for by_class in (None, labels):
        parts = split_indices(n, validation, test, np.random.default_rng(seed), by_class)
        assert sorted(np.concatenate(parts).tolist()) == list(range(n))
        if round(n * test) + round(n * validation) <= n:
            assert len(parts[2]) == round(n * test)
            assert len(parts[1]) == round(n * validation)
        again = split_indices(n, validation, test, np.random.default_rng(seed), by_class)
        assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@given(st.integers(20, 300), st.integers(2, 4), st.integers(0, 1000))
def test_that_a_stratified_split_divides_every_class_alike(n: int, classes: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, n)
    parts = split_indices(n, 0.2, 0.3, np.random.default_rng(seed + 1), labels)
    for label in range(classes):
        total = int((labels == label).sum())
        for part, share in zip(parts, (0.5, 0.2, 0.3), strict=True):
            # Each class is spread evenly over the interval; a part is off by at most one at either
            # border, and by rounding.
            assert abs(int((labels[part] == label).sum()) - share * total) <= 2.0 + classes


def test_that_standardizing_looks_at_training_rows_only_and_leaves_constants_in_place() -> None:
    x = np.array([[1.0, 5.0, 1e9], [3.0, 5.0, 1e9], [100.0, 6.0, 1e9]])
    z, offset, scale = standardized(x, np.array([0, 1]))
    assert offset.tolist() == [2.0, 5.0, 1e9]
    assert scale.tolist() == [1.0, 1.0, 1.0]
    assert z.tolist() == [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [98.0, 1.0, 0.0]]
    np.testing.assert_allclose(z * scale + offset, x)


def test_that_a_shape_knows_its_flat_width() -> None:
    assert DataShape((8, 8), 10, "classes").width == 64
    assert DataShape((3,), 1, "regression").width == 3


@pytest.mark.parametrize("scale", [standardized, unit_ranged])
@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-150, 1e-13, 1.0, 1e13, 1e150, 1e200, 3e307])
def test_that_inputs_are_scaled_whatever_their_unit(scale: Any, size: float) -> None:
    x = np.random.default_rng(0).normal([0.0, 3.0], 1.0, (50, 2))
    training = np.arange(30)
    expected = scale(x, training)[0]
    np.testing.assert_allclose(scale(x * size, training)[0], expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [standardized, unit_ranged])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e-13, 1e13])
def test_that_a_constant_input_becomes_zero(scale: Any, value: float) -> None:
    x, _, used = scale(np.full((50, 1), value), np.arange(30))
    np.testing.assert_allclose(x, 0.0, atol=1e-3 * abs(value))
    assert used == 1.0


@pytest.mark.parametrize("scale", [standardized, unit_ranged])
@pytest.mark.parametrize("size", [1e-250, 1e250])
def test_that_offset_and_scale_are_in_the_units_of_the_input(scale: Any, size: float) -> None:
    x = size * np.random.default_rng(0).normal([0.0, 3.0], 1.0, (50, 2))
    scaled, offset, used = scale(x, np.arange(30))
    np.testing.assert_allclose((x - offset) / used, scaled, rtol=1e-9)


def test_that_missing_values_among_large_ones_become_their_mean() -> None:
    x = np.array([[1.5e308], [1.0e308], [np.nan], [1.7e308]])
    assert filled(x, np.arange(4))[2, 0] == pytest.approx(1.4e308)
