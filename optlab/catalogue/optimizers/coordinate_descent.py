"""Coordinate and block coordinate descent (A15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import dot, each, line_search
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import choice, integer
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

_EXACT = 1e-6
"""Share of the slope at the start that an exact line search may leave: on a quadratic function the
second trial is exact to rounding.
"""


class CoordinateDescent(ObjectiveOptimizer):
    """Descent in one parameter, or one block of them, at a time, with all others held.

    It works well where parameters hardly interact, and reaches the minimum of one exactly; where
    they do interact it crawls, because the best value of one depends on the others. A step here is
    one block, so a sweep over P parameters takes P divided by the block's size steps. On a
    quadratic function with exact steps in single coordinates it is the Gauss–Seidel method.

    The batch of the step is all that is seen of the objective; exact steps want the full batch or a
    large one, since the minimum along a coordinate on a small batch is a minimum of its noise. The
    gradient of a block is cut out of the full gradient, so a step costs one gradient, and one more
    for each trial of the exact line search.
    """

    name: ClassVar[str] = "coordinate_descent"
    label: ClassVar[str] = "Coordinate descent"
    group: ClassVar[str] = "Coordinates and populations"
    sort_order: ClassVar[int] = 300
    rule: ClassVar[tuple[str, ...]] = (r"\theta_B \leftarrow \theta_B - t\, g_B",)
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "B": "block of the step: coordinates that follow each other in θ",
        "g": "gradient",
        "t": "the learning rate, or the minimizer along −g in the block",
    }
    source: ClassVar[str] = (
        "Deep Learning, section 8.7.2; S. Wright (2015), Coordinate descent algorithms."
    )

    lr: float = shared.learning_rate(
        0.1,
        slider=(1e-5, 10.0),
        help="Length of the step in units of the block's gradient; with an exact search, the length tried first.",
        why="As for gradient descent; a single coordinate often bears a larger one.",
    )
    block: int = integer(
        1,
        "Block size",
        ge=1,
        log=True,
        slider=(1, 1000),
        unit="coordinates",
        help="Coordinates that a step changes together; the last block of a sweep holds what is left.",
        why="1 is coordinate descent proper; larger blocks get through a large model in fewer steps.",
    )
    order: Literal["cyclic", "random"] = choice(
        "cyclic",
        "Order",
        help="Whether blocks take turns or each step draws one at random.",
        why="In turn every block is reached as often as every other.",
    )
    length: Literal["rate", "exact"] = choice(
        "rate",
        "Step length",
        help="The learning rate, or an exact search for the minimum along the negative gradient in the block.",
    )

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return each(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    value, g = objective.gradient(theta)
    parameters, size = theta.shape[1], int(h.block)
    blocks = -(-parameters // size)
    if h.order == "random":
        number = int(torch.randint(blocks, (1,), generator=objective.generator(0, "block")).item())
    else:
        number = (h.step - 1) % blocks
    d = torch.zeros_like(g)
    here = slice(number * size, (number + 1) * size)
    d[:, here] = -g[:, here]
    if h.length == "rate" or not dot(d, d) > 0.0:
        return Outcome(theta + h.lr * d, state, value, g)
    found = line_search(theta, d, objective, value, g, h.lr, _EXACT)
    note = f"the line search gave up: {found.problem}" if found.problem else ""
    return Outcome(theta + found.best.t * d, state, value, g, (note,))
