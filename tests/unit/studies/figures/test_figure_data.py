"""What the figures of the notes are made from, against closed forms."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from optlab.studies.figures.base import document, ground, moving_mean, signed
from optlab.studies.figures.catalogue import chosen, figures
from optlab.studies.figures.live import surface
from optlab.studies.figures.notes import (
    cliff,
    critical_points,
    downhill,
    momentum,
    mountain,
    saddle,
)
from optlab.studies.figures.notes.gradient_norm import (
    STEPS,
    WIDTH,
    GradientNormFigure,
    GradientNorms,
)


@pytest.fixture(scope="module")
def canyon() -> momentum.Canyon:
    return momentum.MomentumFigure().compute()


@pytest.fixture(scope="module")
def norms() -> GradientNorms:
    return GradientNormFigure().compute()


def along_and_across(positions: np.ndarray) -> np.ndarray:
    """Coordinates along and across the canyon, which lies along (1, −1)."""
    return positions @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2.0)


def test_that_there_are_the_figures_of_the_notes_in_their_order() -> None:
    assert [figure.number for figure in figures()] == [
        "4.1",
        "4.2",
        "4.5",
        "8.1",
        "8.3",
        "8.4",
        "8.5",
    ]
    assert [figure.number for figure in chosen(["8.5", "4.1"])] == ["4.1", "8.5"]


def test_that_following_the_derivative_multiplies_x_by_one_less_the_rate() -> None:
    data = downhill.DownhillFigure().compute()
    expected = 1.8 * (1.0 - downhill.LR) ** np.arange(downhill.STEPS + 1)
    np.testing.assert_allclose(data.from_right.positions[:, 0], expected, rtol=1e-13)
    np.testing.assert_allclose(data.from_left.positions[:, 0], -expected, rtol=1e-13)
    np.testing.assert_allclose(data.slope, data.x, atol=1e-14)
    np.testing.assert_allclose(data.f, data.x**2 / 2.0, atol=1e-14)


def test_that_curvature_and_neighbors_tell_the_three_kinds_apart() -> None:
    data = critical_points.CriticalPointsFigure().compute()
    kinds = (data.minimum, data.maximum, data.saddle)
    assert [kind.point for kind in kinds] == pytest.approx([0.0] * 3, abs=1e-9)
    assert [kind.slope for kind in kinds] == pytest.approx([0.0] * 3, abs=1e-9)
    assert [kind.curvature for kind in kinds] == pytest.approx([1.0, -1.0, 0.0], abs=1e-9)
    assert data.minimum.left == data.minimum.right == pytest.approx(math.sqrt(1.01) - 1.0)
    assert data.maximum.left == data.maximum.right == pytest.approx(math.exp(-0.005) - 1.0)
    assert data.saddle.left == pytest.approx(
        -1e-3 + 0.75e-4
    ) and data.saddle.right == pytest.approx(1e-3 + 0.75e-4)
    assert abs(data.minimum.track.positions[-1, 0]) < 1e-12
    assert data.maximum.track.positions[-1, 0] > 2.0
    assert (data.saddle.track.positions[:, 0] > 0.0).all() and data.saddle.track.positions[
        -1, 0
    ] < 0.02


def test_that_the_saddle_has_its_eigenvalues_along_its_axes_and_descent_is_a_power_of_each() -> (
    None
):
    data = saddle.SaddleFigure().compute()
    np.testing.assert_allclose(data.eigenvalues, [-2.0, 2.0])
    np.testing.assert_allclose(data.eigenvectors, [[0.0, 1.0], [1.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(data.sections, [-(data.along**2), data.along**2], atol=1e-12)
    assert data.index == 1 and data.point == pytest.approx([0.0, 0.0], abs=1e-12)
    steps = np.arange(len(data.descent.positions))
    x, y = data.descent.positions[0]
    expected = np.stack(
        [x * (1.0 - 2.0 * saddle.LR) ** steps, y * (1.0 + 2.0 * saddle.LR) ** steps], axis=1
    )
    np.testing.assert_allclose(data.descent.positions, expected, rtol=1e-12)
    np.testing.assert_allclose(data.newton.positions[1], [0.0, 0.0], atol=1e-12)


def test_that_gradient_descent_zigzags_down_the_canyon_by_its_two_factors(
    canyon: momentum.Canyon,
) -> None:
    steps = np.arange(momentum.STEPS + 1)
    start = along_and_across(canyon.gradient.positions[:1])[0]
    np.testing.assert_allclose(start, [-25.0, 12.0], rtol=1e-12)
    # At the rate 2/(1 + κ) both coordinates shrink by (κ − 1)/(κ + 1) a step; that across the
    # canyon changes sides each time.
    expected = np.stack([-25.0 * (2.0 / 3.0) ** steps, 12.0 * (-2.0 / 3.0) ** steps], axis=1)
    np.testing.assert_allclose(
        along_and_across(canyon.gradient.positions), expected, rtol=1e-9, atol=1e-12
    )
    assert momentum.crossings(canyon.gradient, canyon.angle) >= 15
    assert momentum.crossings(canyon.momentum, canyon.angle) <= 6
    length = 3.0 * math.hypot(25.0 / 3.0, 12.0 * 5.0 / 3.0) * (1.0 - (2.0 / 3.0) ** momentum.STEPS)
    assert canyon.gradient.length == pytest.approx(length, rel=1e-12)
    assert canyon.momentum.length < 0.6 * canyon.gradient.length


def test_that_momentum_follows_its_recurrence_and_its_best_pair_shrinks_by_the_root_of_the_momentum(
    canyon: momentum.Canyon,
) -> None:
    for track, lr, alpha in (
        (canyon.momentum, momentum.MOMENTUM_LR, momentum.MOMENTUM),
        (canyon.best, momentum.BEST_LR, momentum.BEST_MOMENTUM),
    ):
        found = along_and_across(track.positions)
        for column, curvature in ((0, 1.0), (1, 5.0)):
            step = np.array([[1.0 + alpha - lr * curvature, -alpha], [1.0, 0.0]])
            pair = np.array([found[0, column], found[0, column]])
            expected = [(np.linalg.matrix_power(step, k) @ pair)[0] for k in range(len(found))]
            np.testing.assert_allclose(found[:, column], expected, rtol=1e-8, atol=1e-12)
    # Both roots of the recurrence have the size √α = (√κ − 1)/(√κ + 1).
    far = np.linalg.norm(canyon.best.positions, axis=1)
    rate = (math.sqrt(5.0) - 1.0) / (math.sqrt(5.0) + 1.0)
    assert math.sqrt(momentum.BEST_MOMENTUM) == pytest.approx(rate)
    assert (far[35] / far[15]) ** (1.0 / 20.0) == pytest.approx(rate, rel=0.1)
    assert momentum.left(canyon.best, 0.01) < momentum.left(canyon.gradient, 0.01)


def test_that_arrows_are_steps_of_gradient_descent_from_the_points_of_momentum(
    canyon: momentum.Canyon,
) -> None:
    hessian = np.array([[3.0, 2.0], [2.0, 3.0]])  # eigenvalue 5 along (1, 1), 1 along (1, −1)
    expected = -momentum.LR * canyon.momentum.positions[: len(canyon.arrows)] @ hessian
    np.testing.assert_allclose(canyon.arrows, expected, rtol=1e-12)


def test_that_momentum_on_a_constant_slope_reaches_its_terminal_speed(
    canyon: momentum.Canyon,
) -> None:
    count = np.arange(1, len(canyon.speeds) + 1)
    lr, alpha = momentum.MOMENTUM_LR, momentum.MOMENTUM
    np.testing.assert_allclose(canyon.speeds, lr * (1.0 - alpha**count) / (1.0 - alpha), rtol=1e-12)
    assert (
        canyon.terminal
        == pytest.approx(lr / (1.0 - alpha))
        == pytest.approx(canyon.speeds[-1], rel=1e-12)
    )


def test_that_clipping_bounds_every_step_from_either_side_and_nothing_else_does() -> None:
    data = cliff.CliffFigure().compute()
    bound = data.lr * data.threshold
    for free, clipped in ((data.above, data.above_clipped), (data.below, data.below_clipped)):
        np.testing.assert_array_equal(free.positions[0], clipped.positions[0])
        assert free.steps.max() > 20.0 * bound
        assert clipped.steps.max() <= bound * (1.0 + 1e-12)
        # Where the gradient is longer than the threshold the step has exactly the bound, and its
        # direction.
        gradient = clipped.gradients[:-1]
        long = np.linalg.norm(gradient, axis=1) >= data.threshold
        step = np.diff(clipped.positions, axis=0)
        assert long.sum() > 5
        unit = gradient[long] / np.linalg.norm(gradient[long], axis=1, keepdims=True)
        np.testing.assert_allclose(step[long], -bound * unit, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(step[~long], -data.lr * gradient[~long], rtol=1e-9, atol=1e-12)
        assert clipped.values[-1] < 1.0 < free.values[-1]
    assert data.above.positions[0, 0] > 0.0 > data.below.positions[0, 0]


def test_that_the_mountain_sends_descent_away_or_the_long_way_around() -> None:
    data = mountain.MountainFigure().compute()
    assert data.summit == pytest.approx(
        [math.atanh(-0.25), 0.0], abs=1e-9
    ) and data.top == pytest.approx(2.125)
    assert data.wrong.positions[-1, 0] < -4.0 and data.wrong.values[-1] == pytest.approx(
        1.0, abs=1e-3
    )
    assert data.wrong.first_below(mountain.LOW) is None
    around, right = data.around.first_below(mountain.LOW), data.right.first_below(mountain.LOW)
    assert around is not None and right is not None and around > 50 * right
    assert data.around.length > 2.0 * data.around.distance
    assert data.right.length == pytest.approx(data.right.distance)
    for track in (data.wrong, data.around, data.right):
        assert (np.diff(track.values) <= 1e-12).all()


def test_that_the_gradient_norm_grows_threefold_while_the_validation_error_falls_to_a_fifth(
    norms: GradientNorms,
) -> None:
    assert (
        norms.steps.tolist() == list(range(1, STEPS + 1))
        and norms.at[0] == 0
        and norms.at[-1] == STEPS
    )
    assert norms.growth > 3.0
    assert norms.smooth[-200:].min() > 3.0 * norms.smooth[0]
    assert norms.error[0] > 0.8 and norms.error[-1] < 0.2 * norms.error[0]
    assert (
        norms.smooth[700] == pytest.approx(norms.norms[700 : 700 + WIDTH].mean())
        and norms.smooth_steps[700] == norms.steps[700 + WIDTH // 2]
    )
    assert len(norms.smooth) == len(norms.smooth_steps)


def test_that_a_moving_mean_is_the_mean_of_neighbors() -> None:
    values = np.random.default_rng(0).normal(size=40)
    np.testing.assert_allclose(
        moving_mean(values, 7), np.convolve(values, np.ones(7) / 7.0, mode="valid"), atol=1e-14
    )


def test_that_a_ground_has_x_along_its_rows_and_is_told_by_what_it_is_computed_from() -> None:
    land = ground(surface("cliff"), ((-1.0, 2.0), (0.0, 1.0)), (7, 3))
    assert land.heights.shape == (3, 7)
    x, y = land.x[5], land.y[1]
    expected = (
        8.0 / (1.0 + math.exp(-(x - 0.1 * y**2) / 0.05)) + math.sqrt(0.01 + x**2) + 0.25 * y**2
    )
    assert land.heights[1, 5] == pytest.approx(expected)
    loaded = document(land)
    assert loaded == {
        "surface": {"name": "cliff", "height": 8.0, "width": 0.05},
        "x": [-1.0, 2.0],
        "y": [0.0, 1.0],
        "points": [3, 7],
    }


def test_that_what_was_computed_can_be_told_in_json(canyon: momentum.Canyon) -> None:
    loaded = json.loads(json.dumps(document(canyon)))
    np.testing.assert_array_equal(loaded["momentum"]["positions"], canyon.momentum.positions)
    assert loaded["momentum"]["label"] == "momentum" and loaded["terminal"] == canyon.terminal


def test_that_captions_have_minus_signs() -> None:
    assert signed(-2.0) == "−2" and signed(2.0, "+.3g") == "+2"
