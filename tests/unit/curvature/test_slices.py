"""Planes and lines through parameter space, against plain evaluation point by point."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optlab.catalogue.losses.cross_entropy import CrossEntropy
from optlab.catalogue.losses.squared_error import SquaredError
from optlab.catalogue.models.linear import Linear
from optlab.catalogue.models.mlp import MLP
from optlab.core.data import DataShape, LearningTask
from optlab.core.errors import InvalidInput
from optlab.curvature import combinations, slices
from optlab.curvature.conditioning import along_gradient, conditioning
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator

Problem = tuple[Objective, torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture
def problem() -> Problem:
    """θ ``[P]`` of a small network, and 24 examples."""
    source = torch.Generator().manual_seed(6)
    objective = Objective(
        MLP(hidden=(6,), activation="tanh"), CrossEntropy(l2=0.1), DataShape((4,), 3, "classes")
    )
    theta = torch.randn(objective.layout.total, generator=source, dtype=torch.float64)
    return (
        objective,
        theta,
        torch.randn(24, 4, generator=source, dtype=torch.float64),
        torch.randint(0, 3, (24,), generator=source),
    )


def test_that_each_row_of_a_random_direction_is_as_long_as_the_row_of_the_weights(
    problem: Problem,
) -> None:
    objective, theta, _, _ = problem
    direction = slices.filter_normalized(objective.layout, theta, generator(0, "test"))
    for spec, weight, ours in zip(
        objective.layout.parameters,
        objective.layout.split(theta[None]),
        objective.layout.split(direction[None]),
        strict=True,
    ):
        if spec.role == "weight":
            torch.testing.assert_close(ours.norm(dim=2), weight.norm(dim=2))
        else:
            assert (ours == 0.0).all()


@pytest.mark.parametrize("chunk", [1, 100, 10**7])
def test_that_a_grid_is_the_objective_at_each_of_its_points(
    problem: Problem, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, theta, x, y = problem
    monkeypatch.setattr(combinations, "_CHUNK_VALUES", chunk)
    plane = slices.random_plane(objective.layout, theta, seed=3)
    a, b = (
        torch.linspace(-1, 1, 5, dtype=torch.float64),
        torch.linspace(-0.5, 2, 4, dtype=torch.float64),
    )
    found = slices.grid(objective, plane, x, y, a, b)
    assert found.shape == (5, 4)
    for i, j in ((0, 0), (1, 3), (4, 2)):
        point = (theta + a[i] * plane.first + b[j] * plane.second).unsqueeze(0)
        batch = x.unsqueeze(0), y.unsqueeze(0)
        total, losses = objective.total(point, *batch), objective.losses(point, *batch)
        assert total.item() > losses.item()
        assert found[i, j].item() == pytest.approx(total.item(), rel=1e-12)
        bare = slices.grid(objective, plane, x, y, a[i : i + 1], b[j : j + 1], penalty=False)
        assert bare.item() == pytest.approx(losses.item(), rel=1e-12)


MODELS = [
    pytest.param(MLP(hidden=(), activation="relu"), id="no hidden layer"),
    pytest.param(MLP(hidden=(6,), activation="relu"), id="one"),
    pytest.param(MLP(hidden=(5, 7, 4), activation="sigmoid"), id="three"),
    pytest.param(MLP(hidden=(5, 5), activation="tanh", skip=True), id="no stack"),
    pytest.param(MLP(hidden=(5,), activation="tanh", batch_norm=True), id="batch normalization"),
    pytest.param(Linear(), id="linear"),
]
LOSSES = [
    pytest.param(CrossEntropy(), "classes", id="cross-entropy"),
    pytest.param(CrossEntropy(l2=0.1, l1=0.05), "classes", id="both decays"),
    pytest.param(SquaredError(l2=0.2), "regression", id="squared error"),
]


@pytest.mark.parametrize("chunk", [20, 300_000])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("loss, task", LOSSES)
def test_that_grids_and_lines_are_the_objective_of_any_model(
    model: Any, loss: Any, task: LearningTask, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(combinations, "_CHUNK_VALUES", chunk)
    source = torch.Generator().manual_seed(5)
    x = torch.randn(23, 2, 2, generator=source, dtype=torch.float64)
    y = (
        torch.randint(0, 3, (23,), generator=source)
        if task == "classes"
        else torch.randn(23, 3, generator=source, dtype=torch.float64)
    )
    objective = Objective(model, loss, DataShape((2, 2), 3, task), x)
    theta, first, second = torch.randn(
        3, objective.layout.total, generator=source, dtype=torch.float64
    )
    a, b = (
        torch.linspace(-1, 1, 4, dtype=torch.float64),
        torch.linspace(-0.5, 2, 3, dtype=torch.float64),
    )

    def at(points: torch.Tensor) -> torch.Tensor:
        mean = objective.evaluate(points, x, y)[0].mean(dim=1)
        added = objective.penalty(points)
        return mean if added is None else mean + added

    plane = slices.Plane(theta, first, second, ("", ""))
    expected = torch.stack([at(theta + one * first + b.unsqueeze(1) * second) for one in a])
    torch.testing.assert_close(
        slices.grid(objective, plane, x, y, a, b), expected, rtol=1e-11, atol=1e-12
    )
    single = slices.grid(objective, plane, x, y, a, b, precision=torch.float32)
    assert single.dtype == torch.float64
    torch.testing.assert_close(single, expected, rtol=1e-4, atol=1e-5)
    found = slices.line(objective, theta, second, x, y, b, batch=5)
    torch.testing.assert_close(
        found.mean, at(theta + b.unsqueeze(1) * second), rtol=1e-11, atol=1e-12
    )
    losses = (
        objective.evaluate(theta + b.unsqueeze(1) * second, x, y)[0][:, :20]
        .view(3, 4, 5)
        .mean(dim=2)
    )
    torch.testing.assert_close(found.spread, losses.std(dim=1), rtol=1e-9, atol=1e-12)


def test_that_the_plane_of_a_path_holds_what_its_first_two_components_hold() -> None:
    source = torch.Generator().manual_seed(1)
    path = torch.randn(20, 7, generator=source, dtype=torch.float64) * torch.tensor(
        [5.0, 3.0, 1.0, 0.5, 0.5, 0.2, 0.1], dtype=torch.float64
    )
    plane = slices.path_plane(path)
    centered = path - path.mean(dim=0)
    _, singular, right = torch.linalg.svd(centered, full_matrices=False)
    share = float(singular[:2].square().sum() / singular.square().sum())
    assert plane.explained(path) == pytest.approx(share, rel=1e-10)
    torch.testing.assert_close(
        torch.stack([plane.first, plane.second]).abs(), right[:2].abs(), rtol=0, atol=1e-9
    )
    assert f"{float(singular[0] ** 2 / singular.square().sum()):.1%}" in plane.labels[0]
    coordinates, off = plane.coordinates(path)
    rebuilt = plane.points(coordinates[:, 0], coordinates[:, 1])
    torch.testing.assert_close(
        torch.linalg.vector_norm(path - rebuilt, dim=1), off, rtol=1e-9, atol=1e-9
    )
    assert off[-1].item() == pytest.approx(0.0, abs=1e-9)


def test_that_coordinates_are_right_on_a_plane_with_slanted_directions() -> None:
    first, second = torch.tensor([2.0, 0.0, 0.0]).double(), torch.tensor([1.0, 1.0, 0.0]).double()
    plane = slices.Plane(torch.tensor([1.0, 1.0, 1.0]).double(), first, second, ("", ""))
    coordinates, off = plane.coordinates(torch.tensor([[6.0, 3.0, -3.0]]).double())
    torch.testing.assert_close(coordinates, torch.tensor([[1.5, 2.0]]).double())
    assert off.item() == pytest.approx(4.0)
    with pytest.raises(InvalidInput, match="parallel"):
        slices.Plane(plane.origin, first, 3.0 * first, ("", "")).coordinates(
            torch.zeros(1, 3).double()
        )


def test_that_a_path_on_a_line_or_of_two_points_has_no_plane() -> None:
    with pytest.raises(InvalidInput, match="three points"):
        slices.path_plane(torch.eye(2, dtype=torch.float64))
    with pytest.raises(InvalidInput, match="on a line"):
        slices.path_plane(
            torch.linspace(0, 1, 9, dtype=torch.float64).unsqueeze(1)
            * torch.ones(1, 4, dtype=torch.float64)
        )


def test_that_the_plane_between_two_has_them_at_zero_and_one() -> None:
    source = torch.Generator().manual_seed(2)
    a, b, across = torch.randn(3, 6, generator=source, dtype=torch.float64)
    plane = slices.plane_between(a, b, across)
    coordinates, off = plane.coordinates(torch.stack([a, b]))
    torch.testing.assert_close(
        coordinates, torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double(), rtol=0, atol=1e-12
    )
    assert off.max() < 1e-6 and abs(float(plane.first @ plane.second)) < 1e-12
    assert plane.second.norm().item() == pytest.approx(plane.first.norm().item())


def test_that_the_plane_of_gradient_and_eigenvector_is_orthonormal() -> None:
    source = torch.Generator().manual_seed(2)
    theta, gradient, vector = torch.randn(3, 6, generator=source, dtype=torch.float64)
    plane = slices.gradient_plane(theta, gradient, vector)
    basis = torch.stack([plane.first, plane.second])
    torch.testing.assert_close(
        basis @ basis.T, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-12
    )
    inside = vector - (basis.T @ (basis @ vector))
    assert inside.norm() < 1e-12


def test_that_a_line_has_the_mean_and_the_standard_error_over_batches(problem: Problem) -> None:
    objective, theta, x, y = problem
    direction = torch.ones_like(theta)
    at = torch.tensor([-0.5, 0.0, 0.7], dtype=torch.float64)
    found = slices.line(objective, theta, direction, x, y, at, batch=7)
    assert found.batches == 3
    for place, t in enumerate(at):
        point = (theta + t * direction).unsqueeze(0)
        batches = [
            objective.losses(point, x[None, i : i + 7], y[None, i : i + 7]).item()
            for i in (0, 7, 14)
        ]
        penalty = objective.penalty(point)
        assert penalty is not None
        assert found.mean[place].item() == pytest.approx(
            (objective.losses(point, x[None], y[None]) + penalty).item(), rel=1e-12
        )
        assert found.spread[place].item() == pytest.approx(
            torch.tensor(batches, dtype=torch.float64).std().item(), rel=1e-10
        )
        assert found.standard_error[place].item() == pytest.approx(
            found.spread[place].item() / 3**0.5, rel=1e-12
        )
    with pytest.raises(InvalidInput, match="two batches"):
        slices.line(objective, theta, direction, x, y, at, batch=20)


def test_that_the_predicted_change_is_exact_where_the_objective_is_quadratic() -> None:
    source = torch.Generator().manual_seed(8)
    objective = Objective(Linear(), SquaredError(l2=0.3), DataShape((4,), 2, "regression"))
    theta = torch.randn(2, objective.layout.total, generator=source, dtype=torch.float64)
    x, y = (
        torch.randn(2, 9, 4, generator=source, dtype=torch.float64),
        torch.randn(2, 9, 2, generator=source, dtype=torch.float64),
    )
    for rate in (0.01, 0.5):
        found = conditioning(objective, theta, x, y, rate)
        assert found.actual is not None
        torch.testing.assert_close(found.predicted, found.actual, rtol=1e-9, atol=1e-12)
        assert ((found.actual > 0.0) == found.trouble).all()
    # The largest rate that goes downhill leaves the objective as it is.
    edge = conditioning(objective, theta, x, y, found.largest_rate)
    assert edge.actual is not None
    torch.testing.assert_close(edge.actual, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-10)


def test_that_the_monitor_takes_what_is_known_already(problem: Problem) -> None:
    objective, theta, x, y = problem
    theta, x, y = theta.unsqueeze(0), x.unsqueeze(0), y.unsqueeze(0)
    _, gradient = objective.value_and_gradient(theta, x, y)
    fresh = conditioning(objective, theta, x, y, torch.tensor([0.1]))
    given = conditioning(
        objective, theta, x, y, torch.tensor([0.1]), gradient=gradient, after=theta - 0.1 * gradient
    )
    for one, other in (
        (fresh.gg, given.gg),
        (fresh.ghg, given.ghg),
        (fresh.predicted, given.predicted),
        (fresh.actual, given.actual),
    ):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(fresh.ghg, along_gradient(objective, theta, gradient, x, y))
    torch.testing.assert_close(
        fresh.predicted, 0.5 * 0.1**2 * fresh.ghg - 0.1 * fresh.gg, rtol=1e-6, atol=0
    )
    assert conditioning(objective, theta, x, y, 0.1, actual=False).actual is None
