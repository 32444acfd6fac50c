"""What follows from the numbers that a reading leaves behind."""

from __future__ import annotations

import numpy as np
import pytest

from optlab.watch.raw_reading import PARTS, SCALES, statistics_of


def row(
    scales: tuple[float, float, float] = (-1.0, -1.0, -1.0), **parts: list[float]
) -> np.ndarray:
    assert set(parts) <= set(PARTS) and len(scales) == len(SCALES)
    values = [parts.get(name, [-1.0, -1.0]) for name in PARTS]
    return np.array([*np.array(values).reshape(-1), *scales])


def test_that_scales_are_taken_out_of_gradients_and_unknown_ones_are_those_applied() -> None:
    left = row((8.0, 4.0, -1.0), backward=[16.0, -1.0], applied=[4.0, 6.0])
    found = statistics_of(left, np.ones(2))
    assert found["gradient_norm"].tolist() == [2.0, 1.5]
    assert found["applied_gradient_norm"].tolist() == [1.0, 1.5]


def test_that_norms_of_samples_stand_for_the_tensor() -> None:
    left = row(applied=[1.0, 1.0], weight=[2.0, -1.0], update=[0.5, 0.25])
    found = statistics_of(left, np.array([1.0, 3.0]))
    assert found["weight_norm"].tolist() == [2.0, -1.0]
    assert found["update_norm"].tolist() == [0.5, 0.75]


def test_that_what_is_lost_is_a_share_of_the_weights_with_a_gradient() -> None:
    left = row(applied=[1.0, 1.0], pushed=[8.0, 0.0], unmoved=[2.0, 0.0])
    assert statistics_of(left, np.ones(2))["lost_share"].tolist() == [0.25, 0.0]


def test_that_second_moments_are_known_for_some_and_what_is_not_finite_stays_so() -> None:
    left = row((-1.0, -1.0, 10.0), applied=[3.0, 0.0], moment=[0.1, -1.0], update=[np.nan, 1.0])
    found = statistics_of(left, np.ones(2))
    assert found["gradient_surprise"].tolist() == pytest.approx([9.0, -1.0])
    assert np.isnan(found["update_norm"][0])


def test_that_a_step_whose_gradients_a_closure_computes_has_those_alone() -> None:
    assert list(statistics_of(row(backward=[1.0, 2.0]), np.ones(2))) == ["gradient_norm"]
