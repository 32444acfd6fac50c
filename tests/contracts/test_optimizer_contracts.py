"""Contracts of every optimizer with one gradient per step.

Rules are pure and have a run axis, and all faces agree. The contracts of closure-based optimizers
are in test_objective_rule_contracts.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch

import optlab.optim
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer, State
from optlab.core import registry
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

RULES = [
    rule
    for rule in cast("list[type[Optimizer]]", registry.components("optimizer"))
    if not issubclass(rule, ObjectiveOptimizer)
]
each = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
CURVATURE = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
GradientAt = Callable[[torch.Tensor], torch.Tensor]


@functools.cache
def layout(size: int) -> Layout:
    """A matrix of two rows and a vector of the remaining values."""
    columns = (size - 1) // 2
    return Layout(
        (
            Parameter("weight", (2, columns), "weight", columns, 2),
            Parameter("bias", (size - 2 * columns,), "bias", columns, 2),
        )
    )


def hyper(rule: type[Optimizer], step: int, size: int = 5, **values: Any) -> Hyperparameters:
    return Hyperparameters(**{**rule().values(), **values}, step=step, layout=layout(size))


def draw(runs: int, size: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(
        runs, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def forms(rule: type[Optimizer]) -> list[dict[str, Any]]:
    """Every setting of the rule's choices."""
    combinations: list[dict[str, Any]] = [{}]
    for field in rule.fields():
        if field.kind == "choice":
            combinations = [
                {**values, field.name: choice}
                for values in combinations
                for choice in field.choices
            ]
    return combinations


every_form = pytest.mark.parametrize(
    ("rule", "form"),
    [
        pytest.param(rule, form, id=f"{rule.name} {form or ''}")
        for rule in RULES
        for form in forms(rule)
    ],
)


@every_form
def test_that_a_convex_quadratic_is_reduced(rule: type[Optimizer], form: dict[str, Any]) -> None:
    theta = torch.tensor([[1.0, -1.0, 0.5]], dtype=torch.float64)
    state = rule.begin(theta, hyper(rule, 1, 3, **form))

    def value(at: torch.Tensor) -> float:
        return float(0.5 * (CURVATURE * at.square()).sum())

    first = value(theta)
    for step in range(1, 3001):
        h = hyper(rule, step, 3, **form)
        theta, state = rule.update(theta, CURVATURE * rule.point(theta, state, h), state, h)
    assert value(theta) < 0.5 * first


@every_form
def test_that_an_update_writes_to_none_of_its_arguments(
    rule: type[Optimizer], form: dict[str, Any]
) -> None:
    theta, g = draw(2), draw(2, seed=1)
    state = rule.begin(theta, hyper(rule, 1, **form))
    for step in range(1, 4):
        h = hyper(rule, step, **form)
        kept = [
            theta.clone(),
            g.clone(),
            {name: value.clone() for name, value in state.items()},
            dict(vars(h)),
        ]
        rule.point(theta, state, h)
        after, fresh = rule.update(theta, g, state, h)
        assert torch.equal(theta, kept[0])
        assert torch.equal(g, kept[1])
        assert all(torch.equal(value, kept[2][name]) for name, value in state.items())
        assert dict(vars(h)) == kept[3]
        assert after is not theta
        theta, state = after, fresh


@every_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_that_state_keeps_its_names_run_axis_and_type(
    rule: type[Optimizer], form: dict[str, Any], dtype: torch.dtype
) -> None:
    theta = draw(3).to(dtype)
    h = hyper(rule, 1, **form)
    start = rule.begin(theta, h)
    after, state = rule.update(theta, draw(3, seed=1).to(dtype), start, h)
    assert after.shape == theta.shape
    assert after.dtype == rule.point(theta, start, h).dtype == dtype
    assert set(state) == set(start)
    assert not set(state) & {"step", "ahead"}, "these names are the torch face's own"
    for name, value in state.items():
        assert value.shape[0] == 3
        assert (value.shape, value.dtype) == (start[name].shape, start[name].dtype)


@every_form
def test_that_runs_with_columns_of_hyperparameters_are_the_runs_alone(
    rule: type[Optimizer], form: dict[str, Any]
) -> None:
    numbers = [
        field
        for field in rule.fields()
        if field.kind in ("number", "integer") and field.name not in rule.fixed
    ]
    rows = [
        {
            f.name: f.default * factor
            if f.kind == "number"
            else max(int(f.ge or 0), round(f.default * factor))
            for f in numbers
        }
        for factor in (1.0, 0.9, 0.5)
    ]
    columns = {
        f.name: torch.tensor([[row[f.name]] for row in rows], dtype=torch.float64) for f in numbers
    }
    theta = draw(3)
    # The optimizers of torch are built from their defaults: some refuse smaller values.
    began = [columns, *rows] if rule.applied_to else [{}] * 4
    state = rule.begin(theta, hyper(rule, 1, **form, **began[0]))
    alone: list[tuple[torch.Tensor, State]] = [
        (
            theta[run : run + 1],
            rule.begin(theta[run : run + 1], hyper(rule, 1, **form, **began[run + 1])),
        )
        for run in range(3)
    ]
    for step in range(1, 201):
        g = draw(3, seed=step)
        h = hyper(rule, step, **form, **columns)
        theta, state = rule.update(theta, g + 0.1 * rule.point(theta, state, h), state, h)
        for run, (mine, memory) in enumerate(alone):
            h = hyper(rule, step, **form, **rows[run])
            alone[run] = rule.update(
                mine, g[run : run + 1] + 0.1 * rule.point(mine, memory, h), memory, h
            )
    torch.testing.assert_close(
        theta, torch.cat([mine for mine, _ in alone]), rtol=1e-10, atol=1e-12
    )


@each
def test_that_an_elementwise_rule_treats_each_value_by_itself(rule: type[Optimizer]) -> None:
    assert (rule.__name__ in dir(optlab.optim)) == bool(rule.applied_to)
    if not rule.elementwise:
        return
    theta, g = draw(1, 8), draw(1, 8, seed=1)
    h = hyper(rule, 1, 8)
    whole, _ = rule.update(theta, g, rule.begin(theta, h), h)
    halves = [
        rule.update(part, its_g, rule.begin(part, hyper(rule, 1, 4)), hyper(rule, 1, 4))[0]
        for part, its_g in zip(theta.split(4, 1), g.split(4, 1), strict=True)
    ]
    assert torch.equal(whole, torch.cat(halves, dim=1))


@pytest.mark.parametrize(
    ("rule", "form"),
    [
        pytest.param(rule, form, id=f"{rule.name} {form or ''}")
        for rule in RULES
        if rule.applied_to
        for form in forms(rule)
    ],
)
def test_that_the_torch_face_is_the_engines_rule(
    rule: type[Optimizer], form: dict[str, Any]
) -> None:
    """200 steps of an experiment in the trainer, and of a torch module under ``optlab.optim``, from
    one start with the same batches.
    """
    if not rule.elementwise and "eps" in rule.model_fields:
        # Along (1, 1) the gradient of two outputs is rounding error. A rule that turns the
        # gradient divides it by little more than this constant.
        form = {"eps": 1e-4, **form}
    experiment = Experiment.from_dict(
        {
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "moons", "size": 120},
            "model": {"name": "mlp", "hidden": [5], "activation": "tanh"},
            "optimizer": {"name": rule.name, **form},
            "batches": {"name": "never_shuffled", "size": 16},
        }
    )
    trainer = Trainer([experiment])
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)
    ).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    optimizer = getattr(optlab.optim, rule.__name__)(model.parameters(), **form)
    data = experiment.dataset.load().training
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    start = trainer.theta.clone()
    for step in range(200):
        rows = slice(step % 5 * 16, (step % 5 + 1) * 16)

        def closure(rows: slice = rows) -> torch.Tensor:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            return loss

        if step < 100:
            optimizer.step(closure)
        else:
            if step == 100:
                optimizer.look_ahead()
            closure()
            optimizer.step()
        trainer.advance()
    assert not torch.equal(trainer.theta, start)
    with optimizer.at_iterate():
        theirs = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(theirs, trainer.theta[0], rtol=1e-10, atol=1e-10)


@each
def test_that_a_zero_gradient_at_the_start_keeps_the_parameters(rule: type[Optimizer]) -> None:
    theta = draw(2)
    pulls = {
        field.name: 0.0 for field in rule.fields() if field.name in ("weight_decay", "lambd", "l1")
    }  # these shrink the parameters by themselves
    h = hyper(rule, 1, **pulls)
    after, _ = rule.update(theta, torch.zeros_like(theta), rule.begin(theta, h), h)
    assert torch.equal(after, theta)
