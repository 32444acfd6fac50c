"""What the two forms of Sophia share: fields, state, and the step with any estimate of a diagonal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Objective, Outcome, State
from optlab.core.fields import integer, number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


def lr() -> Any:
    """Return the field ``lr``."""
    return shared.learning_rate(
        0.001,
        help="Length of the step of each parameter whose step is clipped.",
        why="The authors advise 0.8 times the rate of AdamW, whose default this is.",
    )


def beta1() -> Any:
    """Return the field ``beta1``."""
    return shared.first_moment_decay(0.96, why="The default of the authors.")


def beta2() -> Any:
    """Return the field ``beta2``."""
    return shared.second_moment_decay(
        0.99,
        help="Share of the running mean of the diagonal that an estimate keeps.",
        why="The default of the authors.",
    )


def gamma(default: float, why: str) -> Any:
    """Return the field ``gamma``."""
    return number(
        default,
        "Factor of the curvature",
        symbol="γ",
        gt=0.0,
        log=True,
        slider=(1e-4, 1.0),
        help="Multiplies the curvature: smaller values clip more steps.",
        why=why,
    )


def eps() -> Any:
    """Return the field ``eps``."""
    return shared.small_constant(
        1e-12,
        slider=(1e-15, 1e-6),
        help="Smallest divisor; where γh is below, the step is clipped.",
        why="The default of the authors.",
    )


def weight_decay() -> Any:
    """Return the field ``weight_decay``."""
    return shared.weight_decay(
        0.0, why="The authors use 0.2. Set the L2 penalty of the loss to zero, or both act."
    )


def period() -> Any:
    """Return the field ``period``."""
    return integer(
        10,
        "Steps per estimate",
        symbol="k",
        unit="steps",
        ge=1,
        log=True,
        slider=(1, 100),
        help="The diagonal is estimated in the first of every k steps.",
        why="The default of the authors: the curvature changes slowly.",
    )


def start(theta: torch.Tensor) -> State:
    """Return the state before the first step, for parameters ``theta`` ``[R, P]``."""
    return {"m": torch.zeros_like(theta), "h": torch.zeros_like(theta)}


def step(
    theta: torch.Tensor,
    objective: Objective,
    state: State,
    h: Hyperparameters,
    estimate: Callable[[], torch.Tensor],
) -> Outcome:
    """Take the step of algorithm 3 of the paper.

    Args:
        theta: parameters ``[R, P]``. state: of :func:`start`, or of the last step.
        h: the fields of this module, and ``step``.
        estimate: returns an estimate of the diagonal ``[R, P]``; called every ``period`` steps.
    """
    loss, g = objective.gradient(theta)
    m = h.beta1 * state["m"] + (1.0 - h.beta1) * g
    curvature = state["h"]
    if (h.step - 1) % h.period == 0:
        curvature = h.beta2 * curvature + (1.0 - h.beta2) * estimate()
    divisor = torch.maximum(h.gamma * curvature, theta.new_zeros(()) + h.eps)
    clipped = (m / divisor).clamp(-1.0, 1.0)
    after = (1.0 - h.lr * h.weight_decay) * theta - h.lr * clipped
    return Outcome(after, {"m": m, "h": curvature}, loss, g)
