"""Rules that take each run alone: line searches and populations need as many evaluations as they
need, and that differs from run to run.

A rule writes its step for one run; :func:`each` takes it run by run. So a run in a population gets
the numbers that it would get alone by construction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from optlab.catalogue.optimizers.base import Objective, Outcome, State
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.lazy import torch
from optlab.numerics.wolfe import Search, Trial, search

One = Callable[["torch.Tensor", Objective, State, Hyperparameters], Outcome]
"""A step of one run: parameters ``[1, P]``, its objective, its state with a run axis of 1, and
hyperparameters that are plain numbers.
"""


def each(
    theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters, one: One
) -> Outcome:
    """The outcome of ``one`` for every run of ``theta`` ``[R, P]``, put together."""
    runs = theta.shape[0]
    taken: list[Outcome] = []
    for run in range(runs):
        here = slice(run, run + 1)
        taken.append(
            one(
                theta[here],
                objective.only(run),
                {name: value[here] for name, value in state.items()},
                alone(h, run),
            )
        )
    if runs == 1:
        return taken[0]
    return Outcome(
        theta=torch.cat([outcome.theta for outcome in taken]),
        state={name: torch.cat([outcome.state[name] for outcome in taken]) for name in state},
        loss=torch.cat([outcome.loss for outcome in taken]),
        gradient=torch.cat([outcome.gradient for outcome in taken]),
        notes=tuple(note for outcome in taken for note in (outcome.notes or ("",))),
    )


def alone(h: Hyperparameters, run: int) -> Hyperparameters:
    """The hyperparameters of one run as plain numbers; columns ``[R, 1]`` give their row."""
    return Hyperparameters(**{name: _number(value, run) for name, value in vars(h).items()})


def _number(value: Any, run: int) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.reshape(-1)[run].item()


def line_search(
    theta: torch.Tensor,
    d: torch.Tensor,
    objective: Objective,
    value: torch.Tensor,
    g: torch.Tensor,
    first: float,
    c2: float,
) -> Search:
    """A step length along ``d`` for one run that satisfies the strong Wolfe conditions; each trial
    takes one gradient on the objective's batch.

    Args:
        theta, d, g: parameters, direction and gradient, ``[1, P]``. value: ``[1]``.
        first: the length to try first. c2: share of the slope at the start that may be left.
    """
    start = Trial(0.0, value.item(), dot(g, d), g)
    if 0.0 < -first * start.slope <= 4.0 * torch.finfo(theta.dtype).eps * abs(start.value):
        return Search(
            start, 0, "the decrease to be expected is below the rounding of the objective's value"
        )

    def along(t: float) -> tuple[float, float, torch.Tensor]:
        there, gradient = objective.gradient(theta + t * d)
        return there.item(), dot(gradient, d), gradient

    return search(along, start, first, c1=min(1e-4, 0.1 * c2), c2=c2)


def first_length(g: torch.Tensor) -> float:
    """Length to try first along ``−g`` where nothing is known of the curvature: the gradient's own,
    but no further than 1 from the start.
    """
    return min(1.0, 1.0 / math.sqrt(dot(g, g)))


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    """Inner product of two rows ``[1, P]``."""
    return float((a * b).sum())


def curved(s: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether the gradient grew along a step by more than rounding, so that the pair can be learned
    from: ``sᵀy > 0``.
    """
    return dot(s, y) > float(torch.finfo(s.dtype).eps) * math.sqrt(dot(s, s) * dot(y, y))
