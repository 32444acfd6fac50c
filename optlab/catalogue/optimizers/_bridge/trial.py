"""A trial of a foreign optimizer on a small problem: does a run of it do what a script does?

Two runs descend a small network's loss through the component class and through a loop of plain
torch. Half-way, the state goes into new optimizers, as when a stored run is continued.
"""

from __future__ import annotations

from typing import Any

from optlab.catalogue.optimizers._bridge import draws
from optlab.catalogue.optimizers._bridge.calls import take_step
from optlab.catalogue.optimizers._bridge.foreign_rules import ClosureRule, ForeignRule
from optlab.catalogue.optimizers._bridge.tree import Walk
from optlab.catalogue.optimizers.base import State
from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch

STEPS = 24
TOLERANCE = 1e-12
"""Largest relative difference between the parameters after the steps, in both precisions."""
_SEEDS = (3, 4)
_LAYOUT = Layout(
    (
        Parameter("0.weight", (6, 5), "weight", 5, 6),
        Parameter("0.bias", (6,), "bias", 6, 6),
        Parameter("1.weight", (3, 6), "weight", 6, 3, output=True),
    )
)


class Problem:
    """The loss of two small networks on the same examples, as a closure-based optimizer sees it.

    Args:
        precision: ``"float64"`` or ``"float32"``.
    """

    def __init__(self, precision: str) -> None:
        generator = torch.Generator().manual_seed(1)
        dtype = getattr(torch, precision)
        self.x = torch.randn(20, 5, generator=generator, dtype=torch.float64).to(dtype)
        self.y = torch.randn(20, 3, generator=generator, dtype=torch.float64).to(dtype)
        start = torch.randn(2, _LAYOUT.total, generator=generator, dtype=torch.float64)
        self.start = 0.5 * start.to(dtype)

    def losses(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the losses ``[R]`` at ``theta`` ``[R, P]``."""
        first, bias, second = _LAYOUT.split(theta)
        hidden = torch.tanh(torch.einsum("rij,nj->rni", first, self.x) + bias[:, None])
        return ((torch.einsum("rij,rnj->rni", second, hidden) - self.y) ** 2).mean((1, 2))

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return losses ``[R]`` and gradients ``[R, P]`` at ``theta`` ``[R, P]``."""
        with torch.enable_grad():
            theta = theta.detach().clone().requires_grad_()
            losses = self.losses(theta)
            (g,) = torch.autograd.grad(losses.sum(), theta)
        return losses.detach(), g

    def only(self, run: int) -> Any:
        """Return the problem of one run, which is that of all."""
        return self


def try_out(rule: type[ForeignRule], what: str, precision: str = "float64") -> float:
    """Compare runs of a rule with a loop of plain torch.

    Args:
        rule: the component class. what: what messages call it. precision: of the parameters.

    Returns:
        The largest relative difference of the parameters.

    Raises:
        InvalidInput: it fails, its runs cannot be continued, or its parameters differ.
    """
    problem = Problem(precision)
    try:
        theta, state, half = _runs(rule, problem)
        rule.forget()
        again, other = half
        for step in range(STEPS // 2 + 1, STEPS + 1):
            again, other = _advance(rule, problem, again, other, step)
    except InvalidInput:
        raise
    except OptLabError as error:
        raise InvalidInput(
            f"{what}: a run of it could not be continued: {error}", "optimizer.name"
        ) from None
    finally:
        rule.forget()
    if not bool(torch.isfinite(theta).all()):
        raise InvalidInput(f"{what} does not stay finite on a small network.", "optimizer.name")
    if not torch.equal(again, theta) or any(
        not torch.equal(other[name], value) for name, value in state.items()
    ):
        raise InvalidInput(
            f"{what} keeps state where it is not found, so that a run could not be continued from"
            " a snapshot.",
            "optimizer.name",
        )
    by_hand = torch.stack([_by_hand(rule, problem, run) for run in range(len(_SEEDS))])
    scale = by_hand.abs().amax()
    difference = float((theta - by_hand).abs().amax() / scale)
    if not difference <= TOLERANCE:
        raise InvalidInput(
            f"{what} takes other steps here than in a loop of its own (relative difference"
            f" {difference:.1e}).",
            "optimizer.name",
        )
    return difference


def _hyperparameters(rule: type[ForeignRule], step: int) -> Hyperparameters:
    return Hyperparameters(**rule().values(), step=step, layout=_LAYOUT, seeds=list(_SEEDS))


def _runs(
    rule: type[ForeignRule], problem: Problem
) -> tuple[torch.Tensor, State, tuple[torch.Tensor, State]]:
    theta = problem.start
    state = rule.begin(theta, _hyperparameters(rule, 1))
    half = (theta, state)
    for step in range(1, STEPS + 1):
        theta, state = _advance(rule, problem, theta, state, step)
        if step == STEPS // 2:
            half = (theta.clone(), {name: value.clone() for name, value in state.items()})
    return theta, state, half


def _advance(
    rule: type[ForeignRule], problem: Problem, theta: torch.Tensor, state: State, step: int
) -> tuple[torch.Tensor, State]:
    h = _hyperparameters(rule, step)
    if issubclass(rule, ClosureRule):
        outcome = rule.step(theta, problem, state, h)  # type: ignore[arg-type]
        return outcome.theta, outcome.state
    _, g = problem.gradient(rule.point(theta, state, h))
    return rule.update(theta, g, state, h)


def _by_hand(rule: type[ForeignRule], problem: Problem, run: int) -> torch.Tensor:
    """Return the parameters ``[P]`` of a run after a loop as scripts have it."""
    specs = _LAYOUT.parameters
    parts = _LAYOUT.split(problem.start[run : run + 1])
    tensors = [torch.nn.Parameter(part[0].clone()) for part in parts]
    with draws.drawing_from(draws.seed_of(_SEEDS[0], 0)):
        optimizers = rule.create(list(zip(specs, tensors, strict=True)), rule().values())
    modes: list[Any] = list(optimizers) if rule.shows_point else []
    for optimizer in modes:
        optimizer.train()

    def closure() -> torch.Tensor:
        with torch.enable_grad():
            for tensor in tensors:
                tensor.grad = None
            loss = problem.losses(torch.cat([t.reshape(-1) for t in tensors]).unsqueeze(0)).sum()
            loss.backward()
        return loss

    for step in range(1, STEPS + 1):
        closure()
        seed = draws.seed_of(_SEEDS[run], step)
        names = {id(tensor): spec.name for spec, tensor in zip(specs, tensors, strict=True)}
        draws.reseed(Walk(optimizers, names).generators, seed)
        with draws.drawing_from(seed):
            take_step(optimizers, closure if rule.closure else None)
    for optimizer in modes:
        optimizer.eval()
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
