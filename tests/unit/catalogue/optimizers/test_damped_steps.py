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
@pytest.mark.parametrize("start", [(0.3, -0.2), (0.8, -0.8), (2.0, -3.0), (6.0, 5.0)])
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


def test_that_the_damping_begins_with_the_rules_own_where_that_is_larger() -> None:
    for own, first in ((1e-3, 0.1), (0.7, 0.7)):
        rule, h = hyperparameters("newton", control="damping", damping=own)
        theta = torch.zeros(2, 3, dtype=torch.float64)
        assert rule.begin(theta, h)["damping"].tolist() == [[first], [first]]


def test_that_the_damping_does_not_fall_below_the_rules_own() -> None:
    rule, h = hyperparameters("newton", control="damping", solver="exact", damping=0.05)
    function = Function(lambda theta: theta.square().sum(dim=1))
    theta = torch.tensor([[2.0, -3.0]], dtype=torch.float64)
    state = rule.begin(theta, h)
    for _ in range(2):
        outcome = rule.step(theta, function, state, h)
        theta, state = outcome.theta, outcome.state
        assert float(state["damping"]) == 0.05


@pytest.mark.parametrize("lr", [0.0, 0.5])
def test_that_a_step_is_as_long_as_its_rate_says(lr: float) -> None:
    rule, h = hyperparameters("newton", control="damping", solver="exact")
    h.lr = lr
    function = Function(lambda theta: theta.square().sum(dim=1))
    theta = torch.tensor([[2.0, -3.0]], dtype=torch.float64)
    outcome = rule.step(theta, function, rule.begin(theta, h), h)
    torch.testing.assert_close(outcome.theta, theta - lr * 2.0 * theta / 2.1)
    assert outcome.notes == ("",)


@pytest.mark.parametrize("solver", ["exact", "products"])
def test_that_a_run_without_a_gradient_stays_and_costs_no_product(solver: str) -> None:
    rule, h = hyperparameters("newton", control="damping", solver=solver)
    function = Function(lambda theta: theta.square().sum(dim=1))
    given: list[torch.Tensor] = []
    product_at = function.hessian_product

    def counted(theta: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        product = product_at(theta)

        def multiplied(v: torch.Tensor) -> torch.Tensor:
            given.append(v)
            return product(v)

        return multiplied

    function.hessian_product = counted  # type: ignore[method-assign]
    theta = torch.tensor([[0.0, 0.0], [2.0, -3.0]], dtype=torch.float64)
    outcome = rule.step(theta, function, rule.begin(theta, h), h)
    assert not outcome.theta[0].any() and not torch.equal(outcome.theta[1], theta[1])
    assert outcome.notes == ("", "")
    assert outcome.state["damping"][0] == 0.1 and outcome.state["damping"][1] != 0.1
    assert not any(v[0].any() for v in given)


def parabola_step(
    lr: float, start: float = 2.0, offset: float = 0.0, damping: float = 0.0, sign: float = 1.0
) -> Any:
    """The outcome of a step from ``start`` on offset ± θ², whose full step has a rate of 1."""
    rule, h = hyperparameters("newton", control="damping", solver="exact", damping=0.0)
    h.lr = lr
    function = Function(lambda theta: offset + sign * theta.square().sum(dim=1))
    theta = torch.tensor([[start]], dtype=torch.float64)
    return rule.step(
        theta, function, {"damping": torch.full((1, 1), damping, dtype=torch.float64)}, h
    )


@pytest.mark.parametrize(
    ("lr", "share"), [(2 - 4e-4, 1.0), (2 - 1e-4, 0.5), (4 - 8e-4, 0.5), (4 - 2e-4, 0.25)]
)
def test_that_a_step_is_halved_until_the_objective_falls_by_its_share(
    lr: float, share: float
) -> None:
    """A step of t full ones lowers θ² by t (2 − t) θ², and that is to be 1e-4 · 2 t θ² or more."""
    outcome = parabola_step(lr)
    assert float(outcome.theta) == pytest.approx(2.0 * (1.0 - share * lr), rel=1e-9, abs=1e-9)
    assert outcome.notes == ("",)


@pytest.mark.parametrize("offset", [-1.0, 1.0, 1e6])
def test_that_changes_of_the_size_of_rounding_errors_are_taken_and_leave_the_damping(
    offset: float,
) -> None:
    start = 3e-8 * abs(offset) ** 0.5
    outcome = parabola_step(1.0, start=start, offset=offset, damping=1e-3)
    assert abs(float(outcome.theta)) < 1e-3 * start
    assert outcome.notes == ("",)
    assert float(outcome.state["damping"]) == 1e-3


def test_that_a_step_uphill_is_not_taken_even_where_it_leads_beyond_the_top() -> None:
    """With λ = 1.9, −θ² falls along an ascent direction that is twenty times as long as θ."""
    outcome = parabola_step(1.0, start=0.1, damping=1.9, sign=-1.0)
    assert float(outcome.theta) == pytest.approx(0.1 + 0.2 / (1.9 * 16.0 - 2.0), rel=1e-9)
