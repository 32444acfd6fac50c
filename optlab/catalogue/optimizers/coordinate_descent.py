"""Coordinate and block coordinate descent (A15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import initial_step_length, line_search, run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import choice, integer
from optlab.core.lazy import torch
from optlab.numerics.scaling import dot

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

_EXACT = 1e-6
"""Accuracy c₂ of an exact line search.

On a quadratic function the second trial is exact up to rounding.
"""

_REACH = 1e6
"""Factor by which the first trial may differ from :func:`initial_step_length`."""


class CoordinateDescent(ObjectiveOptimizer):
    """Descent in one parameter, or one block of parameters, at a time, with all others fixed.

    The method works well if parameters hardly interact; if they do, progress is slow because the
    best value of one depends on the others. A step changes one block, so a sweep over P parameters
    takes P divided by the block size steps. On a quadratic function with exact steps in single
    coordinates it is the Gauss–Seidel method.

    Each step uses its own batch only. Exact steps need the full batch or a large one, because on a
    small batch the minimum along a coordinate is mostly a minimum of the noise. The gradient of a
    block is a slice of the full gradient, so a step costs one gradient plus one per trial of the
    exact line search.
    """

    name: ClassVar[str] = "coordinate_descent"
    label: ClassVar[str] = "Coordinate descent"
    group: ClassVar[str] = "Coordinates and populations"
    sort_order: ClassVar[int] = 300
    rule: ClassVar[tuple[str, ...]] = (r"\theta_B \leftarrow \theta_B - t\, g_B",)
    traced: ClassVar[tuple[str, ...]] = ("after",)
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "B": "block of the step: consecutive coordinates of θ",
        "g": "gradient",
        "t": "the learning rate, or the minimizer along −g in the block",
    }
    source: ClassVar[str] = (
        "Deep Learning, section 8.7.2; S. Wright (2015), Coordinate descent algorithms."
    )

    lr: float = shared.learning_rate(
        0.1,
        slider=(1e-5, 10.0),
        help="Step length in units of the gradient of the block; with an exact search, the length"
        " of the first trial, unless it is out of all proportion.",
        why="As for gradient descent; a single coordinate often allows a larger rate.",
    )
    block: int = integer(
        1,
        "Block size",
        ge=1,
        log=True,
        slider=(1, 1000),
        unit="coordinates",
        help="Number of coordinates that a step changes; the last block of a sweep may be smaller.",
        why="1 is coordinate descent in the strict sense; larger blocks sweep a large model in"
        " fewer steps.",
    )
    order: Literal["cyclic", "random"] = choice(
        "cyclic",
        "Order",
        help="Whether blocks are updated cyclically or each step draws one at random.",
        why="In cyclic order every block is updated equally often.",
    )
    length: Literal["rate", "exact"] = choice(
        "rate",
        "Step length",
        help="Whether the step length is the learning rate or comes from an exact line search"
        " along the negative gradient of the block.",
    )

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    value, g = objective.gradient(theta)
    parameters, size = theta.shape[1], int(h.block)
    blocks = -(-parameters // size)
    if h.order == "random":
        number = int(torch.randint(blocks, (1,), generator=objective.generator(0, "block")).item())
    else:
        number = (h.step - 1) % blocks
    d = torch.zeros_like(g)
    block = slice(number * size, (number + 1) * size)
    d[:, block] = -g[:, block]
    if h.length == "rate" or not dot(d, d) > 0.0:
        return Outcome(theta + h.lr * d, state, value, g)
    # The rate is a length in the units of the user; a guess without units bounds it.
    guess = initial_step_length(theta, value, g, d)
    first = min(max(float(h.lr), guess / _REACH), guess * _REACH)
    search = line_search(theta, d, objective, value, g, first, _EXACT)
    note = f"the line search failed: {search.problem}" if search.problem else ""
    return Outcome(theta + search.best.t * d, state, value, g, (note,))
