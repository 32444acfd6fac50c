"""Steps run by run, for rules whose number of evaluations differs from run to run.

Line searches and populations are such rules. A rule writes its step for a single run, and
:func:`run_by_run` applies it to each; so a run in a population gets exactly the numbers that it
would get alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from optlab.catalogue.optimizers.base import Objective, Outcome, State
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.lazy import torch
from optlab.numerics.scaling import dot
from optlab.numerics.wolfe import Search, Trial, search

_EXTENT = 0.1
"""Length of a first trial relative to ‖θ‖."""
_DECREASE = 1e4
"""Least decrease that a first trial predicts, in units of the rounding error of the value."""

SingleStep = Callable[["torch.Tensor", Objective, State, Hyperparameters], Outcome]
"""A step of one run.

Takes the parameters ``[1, P]``, the objective of the run, its state with a run axis of length 1,
and hyperparameters that are plain numbers.
"""


def run_by_run(
    theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters, step: SingleStep
) -> Outcome:
    """Apply ``step`` to every run of ``theta`` ``[R, P]`` and return the combined outcome."""
    runs = theta.shape[0]
    outcomes: list[Outcome] = []
    for run in range(runs):
        row = slice(run, run + 1)
        outcomes.append(
            step(
                theta[row],
                objective.only(run),
                {name: value[row] for name, value in state.items()},
                hyperparameters_of(h, run),
            )
        )
    if runs == 1:
        return outcomes[0]
    return Outcome(
        theta=torch.cat([outcome.theta for outcome in outcomes]),
        state={name: torch.cat([outcome.state[name] for outcome in outcomes]) for name in state},
        loss=torch.cat([outcome.loss for outcome in outcomes]),
        gradient=torch.cat([outcome.gradient for outcome in outcomes]),
        notes=tuple(note for outcome in outcomes for note in (outcome.notes or ("",))),
    )


def hyperparameters_of(h: Hyperparameters, run: int) -> Hyperparameters:
    """Return the hyperparameters of one run as plain numbers; columns ``[R, 1]`` give their row."""
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
    """Search for a step length along ``d`` that satisfies the strong Wolfe conditions, for one run.

    Each trial costs one gradient on the objective's batch.

    Args:
        theta: parameters ``[1, P]``.
        d: direction ``[1, P]``.
        objective: the objective of the run.
        value: value of the objective at ``theta``, ``[1]``.
        g: gradient at ``theta``, ``[1, P]``.
        first: step length of the first trial.
        c2: largest slope that is accepted, as a share of the slope at the start.
    """
    start = Trial(0.0, value.item(), dot(g, d), g)
    rounding = 4.0 * float(torch.finfo(theta.dtype).eps) * abs(start.value)

    def along(t: float) -> tuple[float, float, torch.Tensor]:
        trial_value, gradient = objective.gradient(theta + t * d)
        return trial_value.item(), dot(gradient, d), gradient

    shortest = rounding / -start.slope if start.slope < 0.0 else 0.0
    return search(along, start, first, c1=min(1e-4, 0.1 * c2), c2=c2, shortest=shortest)


def initial_step_length(
    theta: torch.Tensor, value: torch.Tensor, g: torch.Tensor, d: torch.Tensor | None = None
) -> float:
    """Return the length of the first trial along a direction when the curvature is unknown.

    The trial point is a tenth of ‖θ‖ from the start, but not further than where the linear model
    reaches zero, and far enough that its decrease exceeds rounding error; from θ = 0 it is where
    the linear model reaches zero. So the points that are tried do not depend on the units of the objective or of the parameters.

    Args:
        theta: parameters ``[1, P]``.
        value: value of the objective there, ``[1]``.
        g: gradient there, ``[1, P]``.
        d: direction of descent ``[1, P]``; by default ``−g``.
    """
    d = -g if d is None else d
    unit = math.sqrt(dot(d, d))
    to_zero = abs(value.item()) / -dot(g, d)
    extent = math.sqrt(dot(theta, theta)) / unit
    if extent == 0.0:
        return to_zero or 1.0 / unit
    epsilon = float(torch.finfo(theta.dtype).eps)
    length = max(_EXTENT * extent, _DECREASE * epsilon * to_zero)
    # A value that happens to be near zero says nothing about the distance to a minimum.
    return min(length, max(to_zero, math.sqrt(epsilon) * extent))


def has_positive_curvature(s: torch.Tensor, y: torch.Tensor) -> bool:
    """Return whether ``sᵀy`` exceeds rounding error, for a step and gradient change ``[1, P]``.

    Only such a pair can update an estimate of the inverse Hessian.
    """
    sizes = math.sqrt(dot(s, s)) * math.sqrt(dot(y, y))
    return dot(s, y) > float(torch.finfo(s.dtype).eps) * sizes
