"""Objectives defined by a formula, for closure-based optimizers.

They compute in float64 and count gradient evaluations.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer, Outcome, State
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter

Function = Callable[[torch.Tensor], torch.Tensor]


class Formula:
    """An objective ``[K, P]`` → ``[K]`` that is the same in every run and at every step."""

    def __init__(
        self, function: Function, runs: int = 1, step: int = 0, seeds: list[int] | None = None
    ) -> None:
        self.function = function
        self.seeds = list(range(runs)) if seeds is None else seeds
        self.step = step
        self.evaluations = [0]

    @property
    def gradients(self) -> list[int]:
        return self.evaluations

    def only(self, run: int) -> Formula:
        single = Formula(self.function, 1, self.step, self.seeds[run : run + 1])
        single.evaluations = self.evaluations
        return single

    def generator(self, run: int, purpose: str) -> torch.Generator:
        assert purpose
        return torch.Generator().manual_seed(1_000_003 * self.seeds[run] + self.step)

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        return self.function(theta)

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.evaluations[0] += 1
        leaf = theta.detach().requires_grad_()
        value = self.function(leaf)
        return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


class LeastSquares(Formula):
    """The mean ``[K]`` of squared residuals ``[K, n]`` of points ``[K, P]``, with its derivatives."""

    def only(self, run: int) -> LeastSquares:
        return self

    def __init__(self, residuals: Function, runs: int = 1, step: int = 0) -> None:
        super().__init__(lambda theta: residuals(theta).square().mean(dim=1), runs, step)
        self.residuals = residuals
        self.products = 0

    def jacobian(self, theta: torch.Tensor) -> torch.Tensor:
        """Return ``[n, P]`` at a point ``[1, P]``."""

        def of_one(flat: torch.Tensor) -> torch.Tensor:
            return self.residuals(flat.unsqueeze(0))[0]

        with torch.enable_grad():
            return torch.autograd.functional.jacobian(of_one, theta[0])

    def gauss_newton(self, theta: torch.Tensor) -> torch.Tensor:
        jacobian = self.jacobian(theta)
        return (2.0 / len(jacobian) * jacobian.T @ jacobian).unsqueeze(0)

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        def of_one(flat: torch.Tensor) -> torch.Tensor:
            return self.function(flat.unsqueeze(0))[0]

        with torch.enable_grad():
            return torch.autograd.functional.hessian(of_one, theta[0]).unsqueeze(0)

    def _times(self, matrix: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        def product(v: torch.Tensor) -> torch.Tensor:
            self.products += 1
            return v @ matrix[0]

        return product

    def gauss_newton_product(self, theta: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        return self._times(self.gauss_newton(theta))

    def hessian_product(self, theta: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        return self._times(self.hessian(theta))


def walk(
    rule: type[ObjectiveOptimizer], objective: Any, theta: torch.Tensor, steps: int, **fields: Any
) -> list[Outcome]:
    """Return the outcomes of some steps from ``theta`` ``[R, P]`` on one objective."""
    h = Hyperparameters(**{**rule().values(), **fields}, step=1)
    state: State = rule.begin(theta, h)
    outcomes: list[Outcome] = []
    for step in range(steps):
        h.step = step + 1
        outcomes.append(rule.step(theta, objective, state, h))
        theta, state = outcomes[-1].theta, outcomes[-1].state
    return outcomes


def descend(
    rule: type[ObjectiveOptimizer],
    function: Function,
    theta: torch.Tensor,
    steps: int,
    **fields: Any,
) -> tuple[list[Outcome], int]:
    """Return the outcomes of some steps from ``theta`` ``[R, P]``, and the number of gradients."""
    values: dict[str, Any] = {**rule().values(), **fields}
    h = Hyperparameters(**values, step=1)
    state: State = rule.begin(theta, h)
    shapes = {name: (value.shape, value.dtype) for name, value in state.items()}
    outcomes: list[Outcome] = []
    evaluations = 0
    for step in range(steps):
        objective = Formula(function, theta.shape[0], step)
        h.step = step + 1
        before = theta.clone(), {name: value.clone() for name, value in state.items()}
        outcome = rule.step(theta, objective, state, h)  # type: ignore[arg-type]
        evaluations += objective.evaluations[0]
        assert torch.equal(theta, before[0]) and all(
            torch.equal(state[name], before[1][name]) for name in state
        ), "a step must not modify its arguments"
        assert {name: (value.shape, value.dtype) for name, value in outcome.state.items()} == shapes
        outcomes.append(outcome)
        theta, state = outcome.theta, outcome.state
    return outcomes, evaluations


def quadratic(
    size: int, condition: float = 50.0, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, Function]:
    """Return A, b and ``½θᵀAθ − bᵀθ`` with eigenvalues from 1 to ``condition``."""
    source = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=source))[0]
    a = (
        basis
        @ torch.diag(
            torch.logspace(
                0.0, float(torch.log10(torch.tensor(condition))), size, dtype=torch.float64
            )
        )
        @ basis.T
    )
    a = 0.5 * (a + a.T)
    b = torch.randn(size, dtype=torch.float64, generator=source)
    return a, b, lambda theta: 0.5 * ((theta @ a) * theta).sum(dim=1) - theta @ b


def rosenbrock(theta: torch.Tensor) -> torch.Tensor:
    """Evaluate the Rosenbrock function, a banana-shaped valley; minimum 0 at (1, …, 1)."""
    return (
        100.0 * (theta[:, 1:] - theta[:, :-1].square()).square() + (1.0 - theta[:, :-1]).square()
    ).sum(dim=1)


@pytest.fixture(name="formula")
def _formula() -> type[Formula]:
    return Formula


@pytest.fixture(name="least_squares")
def _least_squares() -> type[LeastSquares]:
    return LeastSquares


@pytest.fixture(name="walk")
def _walk() -> Callable[..., list[Outcome]]:
    return walk


@pytest.fixture(name="descend")
def _descend() -> Callable[..., tuple[list[Outcome], int]]:
    return descend


@pytest.fixture(name="quadratic")
def _quadratic() -> Callable[..., tuple[torch.Tensor, torch.Tensor, Function]]:
    return quadratic


@pytest.fixture(name="rosenbrock")
def _rosenbrock() -> Function:
    return rosenbrock


REFERENCES = Path(__file__).parent / "references"


@pytest.fixture(name="problem", scope="session")
def _problem() -> ModuleType:
    """The problem of the reference trajectories: ``START``, ``gradient(theta [16], step)``, …"""
    spec = importlib.util.spec_from_file_location("problem", REFERENCES / "make_references.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _ProblemObjective(Formula):
    """The problem of the reference trajectories, for closure-based optimizers."""

    def __init__(self, problem: ModuleType, step: int) -> None:
        super().__init__(
            lambda theta: torch.stack([problem.value(row, step + 1) for row in theta]), step=step
        )

    def only(self, run: int) -> _ProblemObjective:
        return self

    def hessian_product(self, theta: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        def product(v: torch.Tensor) -> torch.Tensor:
            leaf = theta.detach().requires_grad_()
            with torch.enable_grad():
                (g,) = torch.autograd.grad(self.function(leaf).sum(), leaf, create_graph=True)
                return torch.autograd.grad((g * v).sum(), leaf)[0]

        return product


def _followed(problem: ModuleType, rule: type[Optimizer], **fields: Any) -> torch.Tensor:
    """Return the parameters ``[60, 16]`` after each step of a rule on the problem."""
    layout = Layout(
        tuple(
            Parameter(f"p{index}", tuple(shape), "weight", 1, 1)
            for index, shape in enumerate(problem.SHAPES)
        )
    )
    theta = problem.START.unsqueeze(0).clone()
    h = Hyperparameters(**{**rule().values(), **fields}, step=1, layout=layout)
    state = rule.begin(theta, h)
    path = []
    for step in range(1, problem.STEPS + 1):
        h.step = step
        if issubclass(rule, ObjectiveOptimizer):
            objective: Any = _ProblemObjective(problem, step - 1)
            outcome = rule.step(theta, objective, state, h)
            theta, state = outcome.theta, outcome.state
        else:
            g = problem.gradient(rule.point(theta, state, h)[0], step)
            theta, state = rule.update(theta, g.unsqueeze(0), state, h)
        path.append(theta[0])
    return torch.stack(path)


@pytest.fixture(name="follow")
def _follow(problem: ModuleType) -> Callable[..., torch.Tensor]:
    """``follow(rule, **fields)``: the parameters ``[60, 16]`` after each step on the problem."""

    def follow(rule: type[Optimizer], **fields: Any) -> torch.Tensor:
        return _followed(problem, rule, **fields)

    return follow


@pytest.fixture(name="published")
def _published(problem: ModuleType) -> Callable[..., torch.Tensor]:
    """``published(step)``: the parameters ``[60, 16]`` of an algorithm in numpy.

    ``step(theta, gradient, t)`` returns the parameters after step t; ``gradient(theta)`` is that of
    this step.
    """

    def published(step: Callable[..., np.ndarray[Any, Any]]) -> torch.Tensor:
        theta = problem.START.numpy().copy()
        path = []
        for t in range(1, problem.STEPS + 1):

            def gradient(at: Any, t: int = t) -> Any:
                return problem.gradient(torch.from_numpy(at), t).numpy()

            theta = step(theta, gradient, t)
            path.append(torch.from_numpy(theta.copy()))
        return torch.stack(path)

    return published


@pytest.fixture(name="reference")
def _reference(problem: ModuleType) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """``reference(name, rule)``: our parameters and those of another package ``[12, 16]``."""

    def reference(
        name: str, rule: type[Optimizer], **fields: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        document = json.loads((REFERENCES / f"{name}.json").read_text(encoding="utf-8"))
        ours = _followed(problem, rule, **{**document["settings"], **fields})
        theirs = torch.tensor(document["theta"], dtype=torch.float64)
        assert (theirs - problem.START).abs().max() > 0.1, "the reference does not move"
        return ours[[step - 1 for step in document["steps"]]], theirs

    return reference
