"""Second-order rules whose damping follows the quadratic model, by hand and on digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.optimizers import _damped_steps as damped_steps
from optlab.core import registry
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

RULES = ("newton", "saddle_free_newton", "natural_gradient")


class Function:
    """An objective of one or several runs with known derivatives."""

    def __init__(
        self,
        value: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self.value = value
        self.evaluated: list[torch.Tensor] = []

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        self.evaluated.append(theta)
        return self.value(theta)

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = theta.clone().requires_grad_()
        value = self.value(leaf)
        (g,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), g

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [
                torch.autograd.functional.hessian(lambda v: self.value(v.unsqueeze(0)).sum(), row)
                for row in theta
            ]
        )

    def hessian_product(self, theta: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        matrix = self.hessian(theta)
        return lambda v: torch.einsum("rij,rj->ri", matrix, v)

    fisher, fisher_product = hessian, hessian_product


def hyperparameters(name: str, **values: Any) -> tuple[Any, Hyperparameters]:
    rule = registry.build("optimizer", {"name": name, **values})
    return rule, Hyperparameters(**{f.name: getattr(rule, f.name) for f in rule.fields()})


def by_hand(theta: np.ndarray, damping: float, least: float) -> tuple[np.ndarray, float]:
    """A step of Newton's method on Σ √(1 + θ²), with the control written out for one variable each."""
    root = np.sqrt(1.0 + theta**2)
    rounding = 8.0 * np.finfo(np.float64).eps * root.sum()
    f, g, h = root.sum(), theta / root, root**-3
    for _ in range(4):
        d = g / (h + damping)
        slope = -(g * d).sum()
        share = 1.0
        for _ in range(8):
            value = np.sqrt(1.0 + (theta - share * d) ** 2).sum()
            if value <= f + 1e-4 * share * slope + rounding:
                predicted = slope + 0.5 * (d * h * d).sum()
                ratio = (value - f) / predicted
                factor = 0.25 if ratio > 0.75 else 1.0 if ratio > 0.25 else 4.0
                if share < 1.0:
                    factor = 4.0
                if abs(predicted) <= rounding:
                    factor = 1.0
                return theta - share * d, max(damping * factor, least)
            share *= 0.5
        damping *= 16.0
    return theta, damping


@pytest.mark.parametrize("solver", ["exact", "products"])
@pytest.mark.parametrize("start", [(0.3, -0.2), (2.0, -3.0), (6.0, 5.0)])
def test_that_a_controlled_step_is_the_one_written_out(
    start: tuple[float, float], solver: str
) -> None:
    rule, h = hyperparameters(
        "newton", control="damping", solver=solver, tolerance=0.0, iterations=10, damping=1e-6
    )
    function = Function(lambda theta: (1.0 + theta.square()).sqrt().sum(dim=1))
    theta = torch.tensor([start], dtype=torch.float64)
    state = rule.begin(theta, h)
    mine, damping = np.array(start), 0.1
    for _ in range(12):
        outcome = rule.step(theta, function, state, h)
        mine, damping = by_hand(mine, damping, 1e-6)
        theta, state = outcome.theta, outcome.state
        np.testing.assert_allclose(theta[0].numpy(), mine, rtol=1e-8, atol=1e-12)
        assert float(state["damping"]) == pytest.approx(damping, rel=1e-9)
    assert float(theta.abs().max()) < 0.05, "plain Newton diverges from |θ| > 1"


def test_that_plain_newton_diverges_where_the_controlled_one_does_not() -> None:
    rule, h = hyperparameters("newton", control="none", damping=0.0)
    function = Function(lambda theta: (1.0 + theta.square()).sqrt().sum(dim=1))
    theta = torch.tensor([[2.0, -3.0]], dtype=torch.float64)
    for _ in range(3):
        theta = rule.step(theta, function, {}, h).theta
    assert not float(theta.abs().max()) < 1e3


def test_that_a_step_that_nothing_makes_a_descent_is_refused_and_said() -> None:
    rule, h = hyperparameters("newton", control="damping", solver="exact", damping=0.0)
    # Concave: the damped step leads uphill until λ is above 2,000, which four attempts do not reach.
    function = Function(lambda theta: -1000.0 * theta.square().sum(dim=1))
    theta = torch.tensor([[0.5, 0.1]], dtype=torch.float64)
    state = rule.begin(theta, h)
    outcome = rule.step(theta, function, state, h)
    assert torch.equal(outcome.theta, theta)
    assert outcome.notes[0].startswith("the step was refused: no step with a damping up to")
    assert float(outcome.state["damping"]) == pytest.approx(0.1 * 16.0**4)
    again = rule.step(theta, function, outcome.state, h)
    assert not torch.equal(again.theta, theta) and again.notes == ("",)
    assert float(function.value(again.theta)) < float(function.value(theta))


@pytest.mark.parametrize("name", RULES)
def test_that_runs_of_a_group_are_controlled_each_for_itself(name: str) -> None:
    rule, h = hyperparameters(name, control="damping", solver="exact")
    function = Function(lambda theta: (1.0 + theta.square()).sqrt().sum(dim=1))
    starts = torch.tensor([[0.3, -0.2], [6.0, 5.0], [0.0, 0.0], [2.0, 0.1]], dtype=torch.float64)
    theta, state = starts, rule.begin(starts, h)
    for _ in range(5):
        outcome = rule.step(theta, function, state, h)
        theta, state = outcome.theta, outcome.state
    for run in range(len(starts)):
        alone, own = starts[run : run + 1], rule.begin(starts[run : run + 1], h)
        for _ in range(5):
            outcome = rule.step(alone, function, own, h)
            alone, own = outcome.theta, outcome.state
        torch.testing.assert_close(theta[run : run + 1], alone, rtol=1e-12, atol=0.0)
        torch.testing.assert_close(state["damping"][run : run + 1], own["damping"])


@pytest.mark.parametrize(
    ("control", "parameters", "expected"),
    [
        ("none", 10_000, False),
        ("damping", 3, True),
        ("auto", 500, False),
        ("auto", 501, True),
    ],
)
def test_that_auto_controls_large_networks(control: str, parameters: int, expected: bool) -> None:
    _, h = hyperparameters("newton", control=control)
    assert damped_steps.controlled(h, torch.zeros(1, parameters)) is expected


def trained(name: str, gradients: int) -> float:
    """Training loss on digits after a number of gradient-equivalents, at the rule's defaults."""
    trainer = Trainer(
        [
            Experiment.from_dict(
                {
                    "dataset": {"name": "digits"},
                    "model": {"name": "mlp", "hidden": [256, 256]},
                    "batches": {"name": "shuffled", "size": 512},
                    "optimizer": {"name": name},
                }
            )
        ]
    )
    population, used, step = trainer.population, 0, 0
    while used < gradients:
        proposed = population.propose(*trainer.batch_of(step))
        used += proposed.evaluations[0] if proposed.evaluations else 1
        population.accept(proposed)
        step += 1
    return float(trainer.evaluate()["train_loss"][0])


def test_that_the_defaults_train_85_000_parameters_below_momentum() -> None:
    momentum = trained("momentum", 200)
    for name in RULES:
        assert trained(name, 200) < momentum, name
