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
from optlab.numerics.wolfe import Search, Trial, search

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
    if 0.0 < -first * start.slope <= 4.0 * torch.finfo(theta.dtype).eps * abs(start.value):
        return Search(
            start, 0, "the expected decrease is below the rounding error of the objective's value"
        )

    def along(t: float) -> tuple[float, float, torch.Tensor]:
        trial_value, gradient = objective.gradient(theta + t * d)
        return trial_value.item(), dot(gradient, d), gradient

    return search(along, start, first, c1=min(1e-4, 0.1 * c2), c2=c2)


def initial_step_length(g: torch.Tensor) -> float:
    """Return the first step length along ``−g`` ``[1, P]`` when the curvature is unknown.

    It is 1, or smaller where the first trial point would be further than 1 from the start.
    """
    return min(1.0, 1.0 / math.sqrt(dot(g, g)))


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the inner product of two rows ``[1, P]``."""
    return float((a * b).sum())


def has_positive_curvature(s: torch.Tensor, y: torch.Tensor) -> bool:
    """Return whether ``sᵀy`` exceeds rounding error, for a step and gradient change ``[1, P]``.

    Only such a pair can update an estimate of the inverse Hessian.
    """
    return dot(s, y) > float(torch.finfo(s.dtype).eps) * math.sqrt(dot(s, s) * dot(y, y))
