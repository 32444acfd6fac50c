"""Objectives defined by a formula, for closure-based optimizers.

They compute in float64 and count gradient evaluations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Outcome, State
from optlab.core.hyperparameters import Hyperparameters

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


@pytest.fixture(name="descend")
def _descend() -> Callable[..., tuple[list[Outcome], int]]:
    return descend


@pytest.fixture(name="quadratic")
def _quadratic() -> Callable[..., tuple[torch.Tensor, torch.Tensor, Function]]:
    return quadratic


@pytest.fixture(name="rosenbrock")
def _rosenbrock() -> Function:
    return rosenbrock
