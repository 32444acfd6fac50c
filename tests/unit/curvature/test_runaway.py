"""A search that runs off to infinity is distinguished from one that ends at a point far away."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from optlab.catalogue.datasets.iris import Iris
from optlab.catalogue.losses.cross_entropy import CrossEntropy
from optlab.catalogue.models.linear import Linear
from optlab.catalogue.models.mlp import MLP
from optlab.core.data import DataShape
from optlab.curvature.critical_points import find
from optlab.curvature.landscape import FunctionLandscape, ObjectiveLandscape
from optlab.curvature.runaway import runaway
from optlab.objective.objective import Objective


def softmax(x: torch.Tensor, y: torch.Tensor, l2: float = 0.0) -> ObjectiveLandscape:
    shape = DataShape((x.shape[1],), int(y.max()) + 1, "classes")
    return ObjectiveLandscape(Objective(Linear(), CrossEntropy(l2=l2), shape), x, y)


def two_classes(gap: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two uniform squares of width 2 whose edges are ``gap`` apart; they overlap where it is < 0."""
    source = torch.Generator().manual_seed(seed)
    y = torch.arange(80) % 2
    x = 2.0 * torch.rand(80, 2, generator=source, dtype=torch.float64) - 1.0
    x[:, 0] += (1.0 + 0.5 * gap) * (2.0 * y - 1.0)
    return x, y


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e2])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_that_separable_classes_lead_to_infinity_and_mixed_ones_to_a_point(
    scale: float, start: float
) -> None:
    for gap in (0.1, 1.0, -0.5, -1.5):
        x, y = two_classes(gap)
        landscape = softmax(scale * x, y)
        theta = start * torch.randn(
            1, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        found = find(landscape, theta)
        if gap > 0.0:
            assert found.runaway is not None and not found.converged
            assert found.problem == found.runaway.sentence and "infinity" in found.problem
            assert found.runaway.distance == found.distance > found.runaway.start
            assert found.runaway.gradient_norms[1] < 0.5 * found.runaway.gradient_norms[0]
            assert found.runaway.curvatures[1] < found.runaway.curvatures[0]
        else:
            assert found.converged and found.runaway is None


def test_that_a_search_that_begins_far_out_has_run_off_already() -> None:
    x, y = two_classes(1.0)
    landscape = softmax(x, y)
    end = find(landscape, torch.zeros(1, 6, dtype=torch.float64)).theta
    again = find(landscape, end)
    assert again.steps == 0 and again.runaway is not None


def test_that_weight_decay_keeps_iris_from_running_off() -> None:
    part = Iris().load().training
    x, y = torch.from_numpy(part.x).double(), torch.from_numpy(part.y)
    start = torch.zeros(1, 15, dtype=torch.float64)
    assert find(softmax(x, y), start).runaway is not None
    for l2 in (1e-1, 1e-4):
        found = find(softmax(x, y, l2), start)
        assert found.converged and found.runaway is None


@pytest.mark.parametrize("distance", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "function",
    [
        lambda z: z.square() @ torch.tensor([1.0, 1e-5], dtype=torch.float64),
        lambda z: z[:, 0] ** 2 + z[:, 1] ** 4,
        lambda z: (1.0 + z.square().sum(dim=1)).sqrt(),
        lambda z: z[:, 0] ** 2 - z[:, 1] ** 2,
        # A sharp minimum in noise: the mean of many shifted functions.
        lambda z: (z[:, :1] - torch.linspace(-2, 2, 9)).cosh().log().mean(dim=1) + z[:, 1] ** 2,
    ],
    ids=["ill-conditioned", "degenerate", "flattening", "saddle", "mixture"],
)
def test_that_a_critical_point_is_one_however_far_away(
    function: Callable[[torch.Tensor], torch.Tensor], distance: float
) -> None:
    at = distance * torch.tensor([[0.8, 0.6]], dtype=torch.float64)
    for landscape, start in (
        (FunctionLandscape(lambda p: function(p - at)), torch.zeros(1, 2, dtype=torch.float64)),
        (FunctionLandscape(function), at),
    ):
        found = find(landscape, start)
        assert found.runaway is None, found.problem


@pytest.mark.parametrize(
    "function, value",
    [
        (lambda p: torch.exp(-p[:, 0]) + p[:, 1] ** 2, 0.0),
        (lambda p: 1.0 / (1.0 + p[:, 0] ** 2) + p[:, 1] ** 2, 0.0),
        (lambda p: torch.log1p(torch.exp(-3.0 * p[:, 0])) + (p[:, 1] - 2.0) ** 2, 0.0),
        (lambda p: torch.atan(p[:, 0]) + p[:, 1] ** 2, -math.pi / 2),
    ],
    ids=["exponential", "power", "logistic", "arctangent"],
)
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
def test_that_tails_of_any_kind_and_scale_lead_to_infinity(
    function: Callable[[torch.Tensor], torch.Tensor], value: float, scale: float
) -> None:
    landscape = FunctionLandscape(lambda p: function(p / scale))
    start = torch.tensor([[2.0, 1.0]], dtype=torch.float64) * scale
    found = find(landscape, start, steps=1000, tolerance=1e-8 / scale)
    assert found.runaway is not None, found.problem
    assert found.runaway.values[1] == pytest.approx(value, abs=1e-2)


def test_that_a_network_that_fits_its_classes_runs_off_and_one_with_decay_does_not() -> None:
    x, y = two_classes(0.5)
    for l2, off in ((0.0, True), (1e-2, False)):
        landscape = ObjectiveLandscape(
            Objective(
                MLP(hidden=(4,), activation="tanh"),
                CrossEntropy(l2=l2),
                DataShape((2,), 2, "classes"),
            ),
            x,
            y,
        )
        start = 0.5 * torch.randn(
            1, 22, generator=torch.Generator().manual_seed(2), dtype=torch.float64
        )
        found = find(landscape, start, steps=400)
        assert (found.runaway is not None) == off, found.problem


def test_that_a_tiny_way_along_a_valley_is_no_direction() -> None:
    landscape = FunctionLandscape(lambda p: p[:, 0] ** 2)
    start = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    end = torch.tensor([[0.0, 3.0]], dtype=torch.float64)
    assert runaway(landscape, start, end, torch.zeros_like(end)) is None


@pytest.mark.parametrize("steps", [4, 6, 9, 12])
@pytest.mark.parametrize("l2", [0.0, 1e-4, 1e-3, 1e-2])
def test_that_a_search_that_ends_early_says_whether_it_runs_off(steps: int, l2: float) -> None:
    x, y = two_classes(1.0)
    # A tolerance that no gradient meets: the search ends by its steps.
    found = find(
        softmax(x, y, l2), torch.zeros(1, 6, dtype=torch.float64), steps=steps, tolerance=1e-30
    )
    assert not found.converged
    assert (found.runaway is not None) == (l2 == 0.0), found.problem
    if found.runaway is not None:
        assert found.problem == found.runaway.sentence


def test_that_a_search_on_its_way_to_a_point_far_away_does_not_run_off() -> None:
    for function in (
        lambda p: (1.0 + (p - 1e3).square().sum(dim=1)).sqrt(),
        lambda p: torch.log1p((p - 1e3).square().sum(dim=1)),
    ):
        landscape = FunctionLandscape(function)
        for share in (0.1, 0.5, 0.9, 0.99):
            start = torch.zeros(1, 2, dtype=torch.float64)
            end = torch.full((1, 2), 1e3 * share, dtype=torch.float64)
            assert runaway(landscape, start, end, torch.zeros_like(end), converged=False) is None
