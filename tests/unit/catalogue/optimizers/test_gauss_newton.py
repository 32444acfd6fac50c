"""Gauss–Newton against NumPy's least squares, and its matrix against derivatives taken apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import optlab.optim
from optlab.catalogue.optimizers.gauss_newton import GaussNewton
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective
from optlab.optim.predicting_objective import PredictingObjective


def curve(theta: torch.Tensor) -> torch.Tensor:
    """Residuals of a fit of two parameters that is not exact at the minimum."""
    t = torch.linspace(0.0, 2.0, 15, dtype=torch.float64)
    a, b = theta.unsqueeze(2).unbind(1)
    return a * torch.exp(b * t) - (2.0 * torch.exp(-0.7 * t) + 0.1 * torch.sin(9.0 * t))


@pytest.mark.parametrize("solver", ["exact", "products"])
def test_that_a_step_solves_the_linearized_least_squares(
    least_squares: Any, walk: Any, solver: str
) -> None:
    objective = least_squares(curve)
    theta = torch.tensor([[1.0, 0.2]], dtype=torch.float64)
    outcomes = walk(
        GaussNewton,
        objective,
        theta,
        4,
        solver=solver,
        tolerance=1e-14,
        damping=0.0,
        control="none",
        lr=0.5,
    )
    at = theta[0].numpy()
    for outcome in outcomes:
        row = torch.tensor(at).unsqueeze(0)
        jacobian, r = objective.jacobian(row).numpy(), curve(row)[0].numpy()
        at = at - 0.5 * np.linalg.lstsq(jacobian, r, rcond=None)[0]
        np.testing.assert_allclose(outcome.theta[0].numpy(), at, rtol=1e-9)


def network(loss: str, l2: float) -> tuple[BatchObjective, torch.Tensor, Objective]:
    built: Any = registry.build("model", {"name": "mlp", "hidden": [3], "activation": "tanh"})
    own: Any = registry.build("loss", {"name": loss, "l2": l2})
    objective = Objective(built, own, DataShape((2,), 3, "classes"))
    source = torch.Generator().manual_seed(0)
    x = torch.randn(1, 9, 2, dtype=torch.float64, generator=source)
    y = torch.randint(0, 3, (1, 9), generator=source)
    theta = torch.randn(1, objective.layout.total, dtype=torch.float64, generator=source)
    return BatchObjective(objective, x, y, [0], 0), theta, objective


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_that_the_matrix_is_that_of_the_outputs_and_of_weight_decay(loss: str) -> None:
    on_batch, theta, objective = network(loss, 0.3)

    def outputs(flat: torch.Tensor) -> torch.Tensor:
        return objective.outputs(flat.unsqueeze(0), on_batch._x)[0]

    jacobian = torch.autograd.functional.jacobian(outputs, theta[0])
    blocks = [
        torch.autograd.functional.hessian(
            lambda z, i=i: objective.loss.per_example(
                z.view(1, 1, -1), on_batch._y[:, i : i + 1]
            ).sum(),
            out,
        )
        for i, out in enumerate(outputs(theta[0]))
    ]
    expected = sum(part.T @ block @ part for part, block in zip(jacobian, blocks, strict=True)) / 9
    weights = torch.tensor([1.0] * 6 + [0.0] * 3 + [1.0] * 9 + [0.0] * 3, dtype=torch.float64)
    expected = expected + torch.diag(0.3 * weights)
    torch.testing.assert_close(on_batch.gauss_newton(theta)[0], expected, rtol=1e-10, atol=1e-12)
    product = on_batch.gauss_newton_product(theta)
    v = torch.randn(1, 21, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(product(v)[0], expected @ v[0], rtol=1e-10, atol=1e-12)


def test_that_a_closure_gives_the_same_matrix_wherever_its_penalty_comes_from() -> None:
    """As the argument of the optimizer, or within the closure; at the start zero as well."""
    on_batch, theta, _ = network("cross_entropy", 0.0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3))
    model.double()
    parameters = list(model.parameters())
    likelihood: Any = registry.build("loss", {"name": "cross_entropy"})
    x, y = on_batch._x[0], on_batch._y[0]

    def closure(penalty: float) -> Any:
        outputs = model(x)
        loss = torch.nn.functional.cross_entropy(outputs, y)
        added = sum(parameter.square().sum() for parameter in parameters)
        return (loss + 0.5 * penalty * added if penalty else loss), outputs

    for point in (theta, torch.zeros_like(theta)):
        torch.nn.utils.vector_to_parameters(point[0].clone(), parameters)
        plain = on_batch.gauss_newton(point)[0]
        for group, inside in (({"seed": 0}, 0.0), ({"seed": 0, "weight_decay": 0.2}, 0.5)):
            of = PredictingObjective(
                "test", parameters, lambda inside=inside: closure(inside), group, likelihood
            )
            strength = group.get("weight_decay", 0.0) + inside
            expected = plain + strength * torch.eye(21, dtype=torch.float64)
            torch.testing.assert_close(of.gauss_newton(point)[0], expected, rtol=1e-10, atol=1e-12)


def test_that_a_product_is_still_that_of_its_point_after_the_parameters_moved() -> None:
    model = torch.nn.Linear(2, 2).double()
    x = torch.ones(3, 2, dtype=torch.float64)
    optimizer = optlab.optim.GaussNewton(model.parameters())
    closure = lambda: (  # noqa: E731
        torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 0]))
        + model.weight.pow(4).sum(),
        model(x),
    )
    with pytest.raises(RuntimeError):
        # The outputs that are returned are not those that the loss was computed of.
        optimizer.step(closure)

    def own() -> Any:
        outputs = model(x)
        loss = torch.nn.functional.cross_entropy(outputs, torch.tensor([0, 1, 0]))
        return loss + model.weight.pow(4).sum(), outputs

    objective = optimizer._objective(list(model.parameters()), own)
    theta = objective.theta
    v = torch.ones_like(theta)
    product = objective.gauss_newton_product(theta)
    first = product(v)
    objective.loss(theta + 1.0)
    torch.testing.assert_close(product(v), first)
    assert not torch.allclose(objective.gauss_newton_product(theta + 1.0)(v), first)
