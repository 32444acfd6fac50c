"""Nonlinear conjugate gradients against linear ones, closed forms and scipy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from optlab.catalogue.optimizers.conjugate_gradient import ConjugateGradient, _beta
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.numerics.conjugate_gradients import solve
from optlab.training.trainer import Trainer

FORMS = ["polak_ribiere_plus", "polak_ribiere", "fletcher_reeves"]
every_form = pytest.mark.parametrize("form", FORMS)
EXACT = 1e-9


@every_form
def test_that_p_exact_steps_minimize_a_quadratic_and_are_those_of_linear_conjugate_gradients(
    descend: Any, quadratic: Any, form: str
) -> None:
    a, b, function = quadratic(6)
    outcomes, _ = descend(
        ConjugateGradient, function, torch.zeros(1, 6, dtype=torch.float64), 6, form=form, c2=EXACT
    )
    for steps, outcome in enumerate(outcomes, start=1):
        linear = solve(lambda v: v @ a, b.unsqueeze(0), iterations=steps, tolerance=0.0).x
        torch.testing.assert_close(outcome.theta, linear, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        outcomes[-1].theta[0], torch.linalg.solve(a, b), rtol=1e-6, atol=1e-9
    )


@every_form
def test_that_beta_is_its_formula(descend: Any, rosenbrock: Any, form: str) -> None:
    """On a function that is no quadratic, where the forms part: β recovered from successive
    directions.
    """
    theta = torch.tensor([[-1.2, 1.0, 0.3]], dtype=torch.float64)
    outcomes, _ = descend(ConjugateGradient, rosenbrock, theta, 5, form=form, restart=100)
    seen = set()
    for before, after in itertools.pairwise(outcomes):
        g, g_plus = before.gradient[0], after.gradient[0]
        pr = float((g_plus - g) @ g_plus / (g @ g))
        expected = {
            "fletcher_reeves": float(g_plus @ g_plus / (g @ g)),
            "polak_ribiere": pr,
            "polak_ribiere_plus": max(0.0, pr),
        }[form]
        assert after.notes == ("",)
        torch.testing.assert_close(
            after.state["d"][0], -g_plus + expected * before.state["d"][0], rtol=1e-9, atol=1e-9
        )
        seen.add(round(expected, 6))
    assert len(seen) > 2


def test_that_only_plain_polak_ribiere_turns_back_after_a_gradient_that_merely_shrank() -> None:
    g, after = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    assert [_beta(form, 4.0, g, after) for form in FORMS] == [0.0, -0.25, 0.25]


def test_that_the_direction_restarts_every_n_steps(descend: Any, rosenbrock: Any) -> None:
    theta = torch.tensor([[-1.2, 1.0, 0.3]], dtype=torch.float64)
    outcomes, _ = descend(
        ConjugateGradient, rosenbrock, theta, 12, restart=4, form="fletcher_reeves"
    )
    steepest = [torch.equal(outcome.state["d"], -outcome.gradient) for outcome in outcomes]
    assert steepest == [step % 4 == 0 for step in range(12)]


def test_that_by_default_it_restarts_after_as_many_steps_as_parameters(
    descend: Any, rosenbrock: Any
) -> None:
    theta = torch.tensor([[-1.2, 1.0, 0.3]], dtype=torch.float64)
    outcomes, _ = descend(ConjugateGradient, rosenbrock, theta, 9, form="fletcher_reeves")
    assert [torch.equal(outcome.state["d"], -outcome.gradient) for outcome in outcomes] == [
        step % 3 == 0 for step in range(9)
    ]


def test_that_a_direction_that_leads_uphill_is_dropped_and_reported(
    formula: Any, quadratic: Any
) -> None:
    _, _, function = quadratic(3)
    theta = torch.ones(1, 3, dtype=torch.float64)
    objective = formula(function)
    _, g = objective.gradient(theta)
    state = ConjugateGradient.start(theta) | {
        "d": g,
        "beta": torch.full((1, 1), 2.0, dtype=torch.float64),
    }
    outcome = ConjugateGradient.step(
        theta, objective, state, Hyperparameters(**ConjugateGradient().values(), step=1)
    )
    assert "is not a descent direction" in outcome.notes[0]
    assert torch.equal(outcome.state["d"], -g)
    assert float(function(outcome.theta)) < float(function(theta))


def test_that_a_line_search_that_fails_is_reported_and_the_next_step_restarts(descend: Any) -> None:
    outcomes, _ = descend(
        ConjugateGradient,
        lambda theta: -theta.sum(dim=1),
        torch.zeros(1, 2, dtype=torch.float64),
        2,
    )
    assert "unbounded below" in outcomes[0].notes[0]
    assert "restarts" in outcomes[0].notes[0]
    assert float(outcomes[0].state["beta"]) == 0.0


@every_form
def test_that_it_reaches_scipys_minimum_of_rosenbrock_at_a_comparable_price(
    descend: Any, rosenbrock: Any, form: str
) -> None:
    start = torch.tensor([[-1.2, 1.0, -0.5, 0.8]], dtype=torch.float64)
    calls = 0

    def both(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        calls += 1
        leaf = torch.tensor(x).unsqueeze(0).requires_grad_()
        value = rosenbrock(leaf)
        return value.item(), torch.autograd.grad(value.sum(), leaf)[0][0].numpy()

    reference = minimize(both, start[0].numpy(), jac=True, method="CG", options={"gtol": 1e-6})
    outcomes, _ = descend(ConjugateGradient, rosenbrock, start, 400, form=form)
    small = next(
        step for step, outcome in enumerate(outcomes) if float(outcome.gradient.norm()) < 1e-6
    )
    torch.testing.assert_close(
        outcomes[small].theta[0], torch.tensor(reference.x), rtol=1e-4, atol=1e-4
    )
    _, gradients = descend(ConjugateGradient, rosenbrock, start, small, form=form)
    # A step evaluates the gradient at its start again, which scipy keeps from the last one. Fletcher and
    # Reeves are known to need more steps.
    assert gradients - small < (2.0 if form != "fletcher_reeves" else 5.0) * calls


def test_that_a_network_of_85_000_parameters_is_trained_in_memory_that_grows_with_p() -> None:
    experiment = Experiment.from_dict(
        {
            "device": "cpu",
            "dataset": {"name": "digits"},
            "model": {"name": "mlp", "hidden": [256, 256]},
            "optimizer": {"name": "conjugate_gradient"},
            "batches": {"name": "never_shuffled", "size": 0},
        }
    )
    trainer = Trainer([experiment])
    assert 80_000 < trainer.layout.total < 90_000
    first = float(trainer.evaluate()["train_loss"])
    for _ in range(12):
        trainer.advance()
    assert float(trainer.evaluate()["train_loss"]) < 0.3 * first
    assert (
        sum(value.size for value in trainer.snapshot(0, 0.0, "asked").state.values())
        < 1.01 * trainer.layout.total
    )
