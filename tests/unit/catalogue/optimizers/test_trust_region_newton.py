"""Trust-region Newton against SciPy's trust-ncg, point by point, and by hand at a saddle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from optlab.catalogue.optimizers.trust_region_newton import TrustRegionNewton
from optlab.numerics.trust_region import steihaug


def valley(theta: torch.Tensor) -> torch.Tensor:
    """Rosenbrock's function of four variables as residuals."""
    inner = 10.0 * (theta[:, 1:] - theta[:, :-1].square())
    return torch.cat([inner, 1.0 - theta[:, :-1]], dim=1)


def waves(theta: torch.Tensor) -> torch.Tensor:
    """Curvature of both signs."""
    return torch.cat([torch.sin(2.0 * theta) + 0.1 * theta, theta.cumsum(1).cos() + 2.0], dim=1)


STARTS = {"valley": (valley, [-1.2, 1.0, -0.5, 2.0]), "waves": (waves, [0.7, -0.4, 1.6, 0.3])}


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("radius", [0.3, 1.0, 500.0])
def test_that_the_accepted_points_are_those_of_scipy(
    least_squares: Any, walk: Any, name: str, radius: float
) -> None:
    residuals, start = STARTS[name]
    objective = least_squares(residuals)
    points: list[np.ndarray] = []

    def row(flat: np.ndarray) -> torch.Tensor:
        return torch.tensor(flat).unsqueeze(0)

    scipy.optimize.minimize(
        lambda flat: objective.loss(row(flat)).item(),
        start,
        jac=lambda flat: objective.gradient(row(flat))[1][0].numpy(),
        hess=lambda flat: objective.hessian(row(flat))[0].numpy(),
        method="trust-ncg",
        callback=lambda flat: points.append(flat.copy()),
        options={"initial_trust_radius": radius, "gtol": 1e-6},
    )
    moved = [
        point
        for before, point in zip([np.array(start), *points], points, strict=False)
        if not np.array_equal(before, point)
    ]
    theirs = np.stack(moved)
    outcomes = walk(TrustRegionNewton, objective, row(np.array(start)), len(theirs), radius=radius)
    assert len(theirs) >= 4
    np.testing.assert_allclose(
        np.stack([outcome.theta[0].numpy() for outcome in outcomes]), theirs, rtol=1e-8, atol=1e-9
    )
    assert not any(note for outcome in outcomes for note in outcome.notes)


def test_that_a_saddle_is_left_along_the_direction_that_leads_down() -> None:
    """½(x² − y²) at (1, 10⁻³): the boundary is reached along the curvature that is negative."""
    matrix = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    g = torch.tensor([[1.0, -1e-3]], dtype=torch.float64)
    found = steihaug(lambda v: v @ matrix, g, 2.0, iterations=10, tolerance=1e-12)
    assert found.negative and found.at_boundary and found.products == 2
    assert float(found.p.norm()) == pytest.approx(2.0, rel=1e-12)
    assert float(found.p[0, 1]) > 1.5
    model = float((g * found.p).sum() + 0.5 * (found.p * (found.p @ matrix)).sum())
    assert found.value == pytest.approx(model, rel=1e-12)
    # No point of the circle is better than it by much.
    angle = torch.linspace(0.0, 6.283185307, 20001, dtype=torch.float64)
    circle = 2.0 * torch.stack([angle.cos(), angle.sin()], dim=1)
    values = circle @ g[0] + 0.5 * (circle * (circle @ matrix)).sum(dim=1)
    assert found.value <= 0.75 * float(values.min())


def test_that_a_region_that_does_not_bind_gives_the_solution() -> None:
    source = torch.Generator().manual_seed(1)
    root = torch.randn(9, 6, dtype=torch.float64, generator=source)
    matrix, g = root.T @ root, torch.randn(1, 6, dtype=torch.float64, generator=source)
    found = steihaug(lambda v: v @ matrix, g, 1e6, iterations=50, tolerance=1e-13)
    torch.testing.assert_close(found.p[0], -torch.linalg.solve(matrix, g[0]), rtol=1e-9, atol=1e-11)
    assert not found.at_boundary and found.products <= 8
    inner = steihaug(
        lambda v: v @ matrix, g, 0.5 * float(found.p.norm()), iterations=50, tolerance=1e-13
    )
    assert inner.at_boundary and not inner.negative
    assert float(inner.p.norm()) == pytest.approx(0.5 * float(found.p.norm()), rel=1e-12)
    limited = steihaug(lambda v: v @ matrix, g, 1e6, iterations=2, tolerance=1e-13)
    assert limited.products == 2 and not limited.at_boundary
    quadratic = float((g * limited.p).sum() + 0.5 * (limited.p * (limited.p @ matrix)).sum())
    assert limited.value == pytest.approx(quadratic, rel=1e-12)


def test_that_a_step_that_nothing_makes_a_descent_is_refused_and_said(
    least_squares: Any, walk: Any
) -> None:
    class Wrong(least_squares):  # type: ignore[misc]
        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            return super().loss(theta) * 0.0 + float("nan")

    theta = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    (outcome,) = walk(TrustRegionNewton, Wrong(valley), theta, 1)
    assert torch.equal(outcome.theta, theta)
    assert outcome.notes[0].startswith("the step was refused: none of 12 trials")
    assert float(outcome.state["ball"]) == pytest.approx(0.25**12)


def test_that_the_region_does_not_grow_beyond_its_bound(least_squares: Any, walk: Any) -> None:
    theta = torch.tensor([[300.0, -200.0]], dtype=torch.float64)
    outcomes = walk(
        TrustRegionNewton, least_squares(lambda t: 0.1 * t), theta, 6, radius=1.0, largest=8.0
    )
    balls = [float(outcome.state["ball"]) for outcome in outcomes]
    assert balls == [2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    lengths = np.diff(
        [[300.0, -200.0], *[outcome.theta[0].tolist() for outcome in outcomes]], axis=0
    )
    np.testing.assert_allclose(np.linalg.norm(lengths, axis=1), [1.0, 2.0, 4.0, 8.0, 8.0, 8.0])


def test_that_it_rests_at_the_minimum_where_changes_are_rounding_errors(
    least_squares: Any, walk: Any
) -> None:
    residuals, start = STARTS["waves"]
    theta = torch.tensor([start], dtype=torch.float64)
    outcomes = walk(TrustRegionNewton, least_squares(residuals), theta, 40)
    assert float(outcomes[-1].gradient.norm()) < 1e-9
    assert not any(note for outcome in outcomes for note in outcome.notes)
    assert 1e-3 < float(outcomes[-1].state["ball"]) < 1e3


def test_that_a_region_in_which_changes_are_rounding_errors_keeps_its_radius(
    least_squares: Any, walk: Any
) -> None:
    theta = torch.tensor([[3.0, -2.0]], dtype=torch.float64)
    outcomes = walk(TrustRegionNewton, least_squares(lambda t: t), theta, 3, radius=2.0**-56)
    assert [float(outcome.state["ball"]) for outcome in outcomes] == [2.0**-56] * 3
    assert not any(note for outcome in outcomes for note in outcome.notes)
