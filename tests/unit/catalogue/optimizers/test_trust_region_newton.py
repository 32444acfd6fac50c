"""Trust-region Newton against SciPy's trust-ncg, point by point, and by hand at a saddle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from optlab.catalogue.optimizers.trust_region_newton import TrustRegionNewton


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


def test_that_a_jump_where_the_model_sees_no_change_at_all_is_refused(
    least_squares: Any, walk: Any
) -> None:
    """The change that the model predicts is below all numbers, so that there is no ratio."""

    class Jumping(least_squares):  # type: ignore[misc]
        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            return super().loss(theta) + theta.any(dim=1)

        def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.loss(theta), torch.full_like(theta, 1e-150)

        def hessian(self, theta: torch.Tensor) -> torch.Tensor:
            return torch.full((1, 1, 1), 1e30, dtype=torch.float64)

    theta = torch.zeros(1, 1, dtype=torch.float64)
    (outcome,) = walk(TrustRegionNewton, Jumping(lambda t: t), theta, 1)
    assert not outcome.theta.any()
    assert outcome.notes[0].startswith("the step was refused: none of 12 trials")
