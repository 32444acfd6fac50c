"""BFGS against the secant equation, the true inverse Hessian, the rule in matrix form and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from optlab.catalogue.optimizers.bfgs import BFGS, _updated
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment


def test_that_the_inverse_hessian_is_the_true_one_after_p_exact_steps_on_a_quadratic(
    descend: Any, quadratic: Any
) -> None:
    a, b, function = quadratic(5)
    outcomes, _ = descend(BFGS, function, torch.zeros(1, 5, dtype=torch.float64), 5, c2=1e-9)
    torch.testing.assert_close(
        outcomes[-1].state["inverse"][0], torch.linalg.inv(a), rtol=1e-5, atol=1e-7
    )
    torch.testing.assert_close(
        outcomes[-1].theta[0], torch.linalg.solve(a, b), rtol=1e-6, atol=1e-8
    )


def test_that_each_update_is_the_rule_in_matrix_form_and_satisfies_the_secant_equation(
    descend: Any, rosenbrock: Any
) -> None:
    theta = torch.tensor([[-1.2, 1.0, 0.3]], dtype=torch.float64)
    outcomes, _ = descend(BFGS, rosenbrock, theta, 12)
    identity = torch.eye(3, dtype=torch.float64)
    matrix, before = identity, theta[0]
    for number, outcome in enumerate(outcomes):
        leaf = outcome.theta.clone().requires_grad_()
        g_plus = torch.autograd.grad(rosenbrock(leaf).sum(), leaf)[0][0]
        s, y = outcome.theta[0] - before, g_plus - outcome.gradient[0]
        if number == 0:
            matrix = float(s @ y / (y @ y)) * identity
        rho = 1.0 / float(s @ y)
        left = identity - rho * torch.outer(s, y)
        matrix = left @ matrix @ left.T + rho * torch.outer(s, s)
        found = outcome.state["inverse"][0]
        torch.testing.assert_close(found, matrix, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(found @ y, s, rtol=1e-6, atol=1e-8)
        assert float(torch.linalg.eigvalsh(found)[0]) > 0.0
        before = outcome.theta[0]


def test_that_it_reaches_scipys_minimum_of_rosenbrock_at_a_comparable_price(
    descend: Any, rosenbrock: Any
) -> None:
    start = torch.tensor([[-1.2, 1.0, -0.5, 0.8]], dtype=torch.float64)
    calls = 0

    def both(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        calls += 1
        leaf = torch.tensor(x).unsqueeze(0).requires_grad_()
        value = rosenbrock(leaf)
        return value.item(), torch.autograd.grad(value.sum(), leaf)[0][0].numpy()

    reference = minimize(both, start[0].numpy(), jac=True, method="BFGS", options={"gtol": 1e-7})
    outcomes, _ = descend(BFGS, rosenbrock, start, 80)
    small = next(
        step for step, outcome in enumerate(outcomes) if float(outcome.gradient.norm()) < 1e-7
    )
    torch.testing.assert_close(
        outcomes[small].theta[0], torch.tensor(reference.x), rtol=1e-5, atol=1e-5
    )
    _, gradients = descend(BFGS, rosenbrock, start, small)
    assert gradients - small < 1.6 * calls
    # The last steps converge faster than any geometric sequence.
    norms = [float(outcome.gradient.norm()) for outcome in outcomes[small - 2 : small + 1]]
    assert norms[2] / norms[1] < 0.2 and norms[1] < 1e-2


def test_that_a_matrix_that_leads_uphill_is_reset_and_reported(
    formula: Any, quadratic: Any
) -> None:
    _, _, function = quadratic(3)
    theta = torch.ones(1, 3, dtype=torch.float64)
    state = {
        "inverse": -torch.eye(3, dtype=torch.float64).unsqueeze(0),
        "pairs": torch.ones(1, 1, dtype=torch.int64),
    }
    outcome = BFGS.step(theta, formula(function), state, Hyperparameters(**BFGS().values(), step=2))
    assert "is not a descent direction" in outcome.notes[0] and "reset" in outcome.notes[0]
    assert float(function(outcome.theta)) < float(function(theta))
    assert int(outcome.state["pairs"]) == 1


def test_that_a_search_that_fails_resets_the_matrix_and_is_reported(descend: Any) -> None:
    outcomes, _ = descend(
        BFGS, lambda theta: -theta.sum(dim=1), torch.zeros(1, 2, dtype=torch.float64), 1
    )
    assert "the line search failed" in outcomes[0].notes[0] and "reset" in outcomes[0].notes[0]
    assert torch.equal(outcomes[0].state["inverse"][0], torch.eye(2, dtype=torch.float64))


def test_that_a_zero_gradient_keeps_parameters_and_state(descend: Any, quadratic: Any) -> None:
    outcomes, gradients = descend(
        BFGS, lambda theta: theta.square().sum(dim=1), torch.zeros(2, 3, dtype=torch.float64), 2
    )
    assert gradients == 4 and not outcomes[-1].theta.any() and not any(outcomes[-1].notes)


def test_that_a_model_too_large_for_its_matrix_is_refused_in_words() -> None:
    tables: dict[str, Any] = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp", "hidden": [64]},
        "optimizer": {"name": "bfgs"},
    }
    with pytest.raises(
        InvalidInput, match=r"up to 3,000 parameters, but the model has 4,810; use lbfgs\."
    ) as refusal:
        Experiment.from_dict(tables)
    assert refusal.value.field == "optimizer.name"
    with pytest.raises(InvalidInput, match="use lbfgs"):
        BFGS.start(torch.zeros(1, 3001))
    assert Experiment.from_dict({**tables, "model": {"name": "linear"}}).optimizer == BFGS()


@pytest.mark.parametrize("scale", [1e-120, 1e-80, 1.0, 1e80])
def test_that_an_update_does_not_depend_on_the_length_of_the_step(scale: float) -> None:
    s, y = (
        torch.tensor([[1.0, 2.0]], dtype=torch.float64),
        torch.tensor([[2.0, 3.0]], dtype=torch.float64),
    )
    identity = torch.eye(2, dtype=torch.float64).unsqueeze(0)
    torch.testing.assert_close(
        _updated(identity, scale * s, scale * y), _updated(identity, s, y), rtol=1e-12, atol=0.0
    )
