"""Contracts of every closure-based optimizer.

Steps descend and are pure, runs do not affect each other, and all faces agree.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

import optlab.optim
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer, Outcome, State
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective
from optlab.training.trainer import Trainer

EVERY = cast("list[type[Optimizer]]", registry.components("optimizer"))
RULES = [rule for rule in EVERY if issubclass(rule, ObjectiveOptimizer)]
M = 12


def forms(rule: type[ObjectiveOptimizer]) -> list[dict[str, Any]]:
    """Every setting of the rule's choices, one changed at a time."""
    choices = [field for field in rule.fields() if field.kind == "choice"]
    return [
        {},
        *(
            {field.name: choice}
            for field in choices
            for choice in field.choices
            if choice != field.default
        ),
    ]


each = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
every_form = pytest.mark.parametrize(
    ("rule", "form"),
    [
        pytest.param(rule, form, id=f"{rule.name} {form or ''}")
        for rule in RULES
        for form in forms(rule)
    ],
)


class Problem:
    """Linear regression with weight decay: a convex quadratic of 9 parameters, on one batch for
    each of R runs.
    """

    def __init__(self, runs: int, dtype: torch.dtype = torch.float64) -> None:
        shape = DataShape((2,), 3, "regression")
        built: Any = registry.build("model", {"name": "linear"})
        loss: Any = registry.build("loss", {"name": "squared_error", "l2": 0.1})
        self.objective = Objective(built, loss, shape)
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(runs, M, 2, generator=generator, dtype=torch.float64).to(dtype)
        self.y = torch.randn(runs, M, 3, generator=generator, dtype=torch.float64).to(dtype)
        self.theta = torch.randn(
            runs, self.objective.layout.total, generator=generator, dtype=torch.float64
        ).to(dtype)
        self.runs = runs

    def batch_objective(self, step: int) -> BatchObjective:
        return BatchObjective(
            self.objective, self.x, self.y, [10 + run for run in range(self.runs)], step
        )

    def hyper(self, rule: type[ObjectiveOptimizer], step: int, **values: Any) -> Hyperparameters:
        return Hyperparameters(
            **{**rule().values(), **values},
            step=step + 1,
            layout=self.objective.layout,
            examples=M,
        )


def walked(
    problem: Problem, rule: type[ObjectiveOptimizer], steps: int, **values: Any
) -> list[Outcome]:
    theta = problem.theta
    state: State = rule.begin(theta, problem.hyper(rule, 0, **values))
    outcomes = []
    for step in range(steps):
        outcomes.append(
            rule.step(
                theta, problem.batch_objective(step), state, problem.hyper(rule, step, **values)
            )
        )
        theta, state = outcomes[-1].theta, outcomes[-1].state
    return outcomes


@every_form
def test_that_a_convex_quadratic_is_reduced(
    rule: type[ObjectiveOptimizer], form: dict[str, Any]
) -> None:
    problem = Problem(2)
    batch_objective = problem.batch_objective(0)
    leaf = torch.zeros_like(problem.theta)
    best = batch_objective.loss(
        leaf - torch.linalg.solve(batch_objective.hessian(leaf), batch_objective.gradient(leaf)[1])
    )
    first = batch_objective.loss(problem.theta)
    theta, state = problem.theta, rule.begin(problem.theta, problem.hyper(rule, 0, **form))
    for step in range(3000):
        outcome = rule.step(
            theta, problem.batch_objective(step), state, problem.hyper(rule, step, **form)
        )
        theta, state = outcome.theta, outcome.state
        reached = batch_objective.loss(theta)
        assert (reached >= best - 1e-10).all()
        if (reached - best < 0.5 * (first - best)).all():
            return
    pytest.fail(f"{rule.name} did not halve the excess")


@every_form
def test_that_a_step_writes_to_none_of_its_arguments(
    rule: type[ObjectiveOptimizer], form: dict[str, Any]
) -> None:
    problem = Problem(2)
    theta = problem.theta
    state = rule.begin(theta, problem.hyper(rule, 0, **form))
    for step in range(4):
        h = problem.hyper(rule, step, **form)
        kept = [
            theta.clone(),
            {name: value.clone() for name, value in state.items()},
            dict(vars(h)),
        ]
        outcome = rule.step(theta, problem.batch_objective(step), state, h)
        assert torch.equal(theta, kept[0])
        assert all(torch.equal(value, kept[1][name]) for name, value in state.items())
        assert dict(vars(h)) == kept[2]
        again = rule.step(theta, problem.batch_objective(step), state, h)
        assert torch.equal(again.theta, outcome.theta), "the same step is the same numbers"
        theta, state = outcome.theta, outcome.state


@every_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_that_outcome_and_state_keep_their_shapes_and_types(
    rule: type[ObjectiveOptimizer], form: dict[str, Any], dtype: torch.dtype
) -> None:
    problem = Problem(3, dtype)
    start = rule.begin(problem.theta, problem.hyper(rule, 0, **form))
    outcome = walked(problem, rule, 3, **form)[-1]
    assert (outcome.theta.shape, outcome.theta.dtype) == (problem.theta.shape, dtype)
    assert (outcome.gradient.shape, outcome.gradient.dtype) == (problem.theta.shape, dtype)
    assert (outcome.loss.shape, outcome.loss.dtype) == ((3,), dtype)
    assert not outcome.theta.requires_grad
    assert set(outcome.state) == set(start)
    assert not set(start) & {"step"} and not any("." in name for name in start), (
        "these names are taken"
    )
    for name, value in outcome.state.items():
        assert value.shape[0] == 3
        assert (value.shape, value.dtype) == (start[name].shape, start[name].dtype)
    assert len(outcome.notes) in (0, 3)


@every_form
def test_that_value_and_gradient_are_those_before_the_step(
    rule: type[ObjectiveOptimizer], form: dict[str, Any]
) -> None:
    problem = Problem(2)
    outcomes = walked(problem, rule, 3, **form)
    value, gradient = problem.batch_objective(2).gradient(outcomes[1].theta)
    torch.testing.assert_close(outcomes[2].loss, value, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(outcomes[2].gradient, gradient, rtol=1e-10, atol=1e-12)


def run_of(
    rule: type[ObjectiveOptimizer], form: dict[str, Any], seed: int, factor: float
) -> Experiment:
    """A run whose real hyperparameters are their defaults times a factor, on a convex problem: near
    saddles rounding grows, whatever the code does.
    """
    reals = {
        field.name: field.default * factor
        for field in rule.fields()
        if field.kind == "number" and field.name not in rule.fixed
    }
    return Experiment.from_dict(
        {
            "seed": seed,
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "moons", "size": 80},
            "model": {"name": "linear"},
            "loss": {"name": "cross_entropy", "l2": 0.05},
            "optimizer": {"name": rule.name, **reals, **form},
            "batches": {"name": "never_shuffled", "size": 0},
        }
    )


@every_form
def test_that_runs_with_columns_of_hyperparameters_are_the_runs_alone(
    rule: type[ObjectiveOptimizer], form: dict[str, Any]
) -> None:
    experiments = [
        run_of(rule, form, seed, factor) for seed, factor in ((1, 1.0), (2, 0.9), (3, 0.8))
    ]
    together, alone = Trainer(experiments), [Trainer([one]) for one in experiments]
    for _ in range(12):
        for trainer in (together, *alone):
            trainer.advance()
    torch.testing.assert_close(
        together.theta, torch.cat([trainer.theta for trainer in alone]), rtol=1e-9, atol=1e-10
    )


@each
def test_that_the_rule_is_no_rule_of_one_gradient(rule: type[ObjectiveOptimizer]) -> None:
    assert not rule.elementwise
    with pytest.raises(TypeError, match="evaluates the objective itself"):
        rule.update(torch.ones(1, 2), torch.ones(1, 2), {}, Hyperparameters())


@every_form
def test_that_the_torch_face_is_the_engines_rule(
    rule: type[ObjectiveOptimizer], form: dict[str, Any]
) -> None:
    """An experiment in the trainer, and a torch module under ``optlab.optim``, from one start with
    the same batch.
    """
    if "damping" in rule.model_fields:
        # Hardly damped, the Fisher matrix of certain predictions makes six digits out of the last
        # one.
        form = {"damping": 0.1, **form}
    experiment = run_of(rule, form, 5, 1.0)
    trainer = Trainer([experiment])
    model = torch.nn.Linear(2, 2).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    data = experiment.dataset.load().training
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    count = {"examples": len(y)} if rule.needs_examples else {}
    optimizer = getattr(optlab.optim, rule.__name__)(model.parameters(), seed=5, **count, **form)

    def closure() -> Any:
        outputs = model(x)
        if rule.needs_examples:
            losses = torch.nn.functional.cross_entropy(outputs, y, reduction="none")
            return losses + 0.025 * model.weight.square().sum()
        loss = torch.nn.functional.cross_entropy(outputs, y) + 0.025 * model.weight.square().sum()
        return (loss, outputs) if rule.needs_predictions else loss

    start = trainer.theta.clone()
    for _ in range(6):
        # The batch is the entire training set.
        optimizer.step(closure, closure if rule.needs_full_gradient else None)
        trainer.advance()
    assert not torch.equal(trainer.theta, start)
    theirs = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(theirs, trainer.theta[0], rtol=1e-10, atol=1e-10)
