"""The path recorder against a singular value decomposition of the points it kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core.layout import layout, linear
from optlab.training.observing import path as module
from optlab.training.observing.path import PathRecorder

LAYOUT = layout(linear("layers.0", 19, 2))


@pytest.fixture(autouse=True)
def _always_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is due as far as time goes."""
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: 0.0))


def walk(steps: int, seed: int = 0) -> torch.Tensor:
    """Points ``[steps + 1, P]`` of a walk with a drift, far from the origin."""
    generator = torch.Generator().manual_seed(seed)
    moves = torch.randn(
        steps + 1, LAYOUT.total, dtype=torch.float64, generator=generator
    ) * torch.linspace(0.1, 3.0, LAYOUT.total)
    return 100.0 + moves.cumsum(dim=0)


def record(points: torch.Tensor, first: int = 0) -> PathRecorder:
    recorder = PathRecorder(LAYOUT)
    for step, point in enumerate(points, start=first):
        if recorder.due(step):
            recorder.add(step, point)
    return recorder


def path_of(recorder: PathRecorder) -> Any:
    path = recorder.path()
    assert path is not None
    return path


@pytest.mark.parametrize("steps", [5, 60, 255])
def test_that_the_plane_is_that_of_the_two_largest_singular_vectors(steps: int) -> None:
    points = walk(steps)
    path = path_of(record(points))
    assert path.steps.tolist() == list(range(steps + 1))
    centered = (points - points.mean(dim=0)).numpy()
    u, s, vt = np.linalg.svd(centered, full_matrices=False)
    np.testing.assert_allclose(path.explained, s[:2] ** 2 / (s**2).sum(), rtol=1e-4)
    scale = np.abs(centered).max()
    for axis in range(2):
        coordinates = u[:, axis] * s[axis]
        sign = np.sign(coordinates @ path.plane[:, axis])
        np.testing.assert_allclose(path.plane[:, axis], sign * coordinates, atol=1e-3 * scale)
    rest = centered - centered @ vt[:2].T @ vt[:2]
    np.testing.assert_allclose(path.off_plane, np.linalg.norm(rest, axis=1), atol=1e-3 * scale)


def test_that_a_straight_line_is_explained_by_one_direction() -> None:
    direction = torch.randn(
        LAYOUT.total, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    path = path_of(record(torch.arange(30.0, dtype=torch.float64).unsqueeze(1) * direction))
    np.testing.assert_allclose(path.explained, [1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(np.diff(path.plane[:, 0]), float(direction.norm()), rtol=1e-4)
    assert path.off_plane.max() < 1e-2 * float(direction.norm())


def test_that_the_path_runs_to_the_right_and_up_so_that_it_does_not_flip() -> None:
    path = path_of(record(walk(80, seed=3)))
    assert (path.plane[-1] >= path.plane[0]).all()


def test_that_a_long_path_keeps_a_bounded_number_of_evenly_spaced_points() -> None:
    recorder = record(walk(5000))
    path = path_of(recorder)
    assert 128 <= len(path.steps) <= 256
    assert set(np.diff(path.steps)) == {path.steps[1] - path.steps[0]}
    assert path.steps[0] == 0
    assert recorder._points.shape == (256, LAYOUT.total)


def test_that_thinning_keeps_the_products_of_the_points_that_stay() -> None:
    points = walk(1000)
    path = path_of(record(points))
    kept = points[torch.from_numpy(path.steps)]
    centered = (kept - kept.mean(dim=0)).numpy()
    s = np.linalg.svd(centered, compute_uv=False)
    np.testing.assert_allclose(path.explained, s[:2] ** 2 / (s**2).sum(), rtol=1e-4)


def test_that_the_weights_that_moved_most_are_named_with_their_values() -> None:
    points = walk(40)
    path = path_of(record(points))
    moved = (points[-1] - points[0]).abs()
    order = moved.argsort(descending=True)[:12]
    assert path.moved == tuple(LAYOUT.weight_name(int(place)) for place in order)
    np.testing.assert_allclose(path.values, points[:, order].numpy(), rtol=1e-6)


def test_that_two_points_make_no_path_and_no_step_is_kept_twice() -> None:
    points = walk(3)
    recorder = PathRecorder(LAYOUT)
    for _ in range(3):
        recorder.add(0, points[0])
    recorder.add(1, points[1])
    assert recorder.path() is None
    recorder.add(2, points[2])
    assert path_of(recorder).steps.tolist() == [0, 1, 2]


def test_that_a_path_that_stands_still_is_a_point() -> None:
    path = path_of(record(torch.ones(5, LAYOUT.total, dtype=torch.float64)))
    assert not path.plane.any()
    assert path.explained.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_that_points_on_the_way_to_infinity_are_left_out(dtype: torch.dtype) -> None:
    points = walk(6).to(dtype)
    points[4:] *= 1e30
    path = path_of(record(points))
    assert path.steps.tolist() == [0, 1, 2, 3]
    assert np.isfinite(path.plane).all()


class Clock:
    """A clock on which keeping a point takes a fixed time, except for one."""

    def __init__(self, cost: float) -> None:
        self.now, self.cost = 0.0, cost

    def perf_counter(self) -> float:
        self.now += self.cost
        return self.now


def record_timed(
    monkeypatch: pytest.MonkeyPatch, steps: int, *, cost: float, slow_at: int = -1
) -> tuple[Any, int]:
    """Return a path and the number of points kept on the way.

    Steps take a millisecond, and one point takes five seconds.
    """
    clock = Clock(0.0)
    monkeypatch.setattr(module, "time", clock)
    points = walk(steps)
    recorder = PathRecorder(LAYOUT)
    kept = 0
    for step, point in enumerate(points):
        clock.now += 1e-3
        clock.cost = 0.0
        if recorder.due(step):
            clock.cost = 5.0 if kept == slow_at else cost
            recorder.add(step, point)
            kept += 1
    recorder.add(steps, points[-1])
    return path_of(recorder), kept


@pytest.mark.parametrize("slow_at", [0, 3, 30, 100])
def test_that_one_slow_point_leaves_no_gap_in_the_path(
    monkeypatch: pytest.MonkeyPatch, slow_at: int
) -> None:
    path, _ = record_timed(monkeypatch, 4000, cost=1e-5, slow_at=slow_at)
    gaps = np.diff(path.steps)
    assert len(path.steps) >= 100
    # Rounding, and thinning, which drops every second point.
    assert (gaps <= np.maximum(2 * path.steps[1:] / 32 + 2, 32)).all()


def test_that_points_that_always_cost_much_stay_few(monkeypatch: pytest.MonkeyPatch) -> None:
    # A point costs twenty steps: 3 % of the time allow for 1 of about 670 steps.
    path, kept = record_timed(monkeypatch, 20_000, cost=0.02)
    assert kept < 200
    gaps = np.diff(path.steps)
    assert (gaps <= np.maximum(2 * path.steps[1:] / 12 + 2, 32)).all()
    assert (gaps > 2 * path.steps[1:] / 32 + 2).any(), "they may be farther apart than cheap ones"
