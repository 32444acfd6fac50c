"""Levenberg–Marquardt control of a second-order step: damping that follows the quadratic model.

A step is tried at full length, then at shorter lengths, until the objective falls enough on the
batch of the step. Where none does, the system is solved again with more damping; after some
attempts the step is refused, and the parameters stay. The ratio of the change that happened to the
change that the model predicts sets the damping of the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from optlab.catalogue.optimizers.base import Objective, Outcome, State
from optlab.core.fields import choice
from optlab.core.lazy import torch
from optlab.core.limits import EXACT_UP_TO
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.scaling import row_dots

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

Control = Literal["auto", "damping", "none"]
Solve = Callable[["torch.Tensor", "torch.Tensor"], "tuple[torch.Tensor, list[str]]"]
"""Damping ``[R, 1]`` and gradients ``[R, P]`` → directions ``[R, P]``, and a note per run."""

DAMPING = "damping"
"""Entry of the state that holds the current damping ``[R, 1]``."""
SUFFICIENT = 1e-4
"""Share of the first-order change that a step has to achieve (Armijo)."""
HALVINGS = 8
"""Times that a step is halved, at most, before the system is solved with more damping."""
ATTEMPTS = 4
"""Solves with ever more damping in one step, at most."""
GOOD, POOR = 0.75, 0.25
"""Ratios of actual to predicted change above and below which the damping changes."""
FACTOR = 4.0
"""Factor by which it changes, and its square after a refusal."""
FIRST = 0.1
"""Damping of the first step, unless the rule's own is larger: early steps have to be short."""
MOST = 1e10
"""Bound of the damping; its lower bound is the rule's own."""


def control(why: str = "") -> Any:
    """Return the field ``control``."""
    return choice(
        "auto",
        "Control",
        help="“damping” adapts λ as Levenberg and Marquardt do: it tries the step on its batch,"
        " shortens or refuses it if the objective does not fall, and raises or lowers λ by how well"
        " the quadratic model predicted the change; it starts at 0.1 and does not go below the field"
        " damping. “none” takes the step as it is. “auto” is"
        f" “none” up to P = {EXACT_UP_TO}, where the method is studied, and “damping” above.",
        why=why
        or "The quadratic model of a large network is valid for short steps only; without control"
        " the loss may rise by orders of magnitude.",
    )


def controlled(h: Hyperparameters, theta: torch.Tensor) -> bool:
    """Return whether the steps from ``theta`` ``[R, P]`` are controlled."""
    return bool(h.control == "damping" or (h.control == "auto" and theta.shape[1] > EXACT_UP_TO))


def begin(theta: torch.Tensor, h: Hyperparameters) -> State:
    """Return the state before the first step from ``theta`` ``[R, P]``: the damping ``[R, 1]``.

    It is empty where the damping is not adapted.
    """
    if not controlled(h, theta):
        return {}
    return {DAMPING: (torch.zeros_like(theta[:, :1]) + h.damping).clamp(min=FIRST)}


def controlled_step(
    theta: torch.Tensor,
    objective: Objective,
    state: State,
    h: Hyperparameters,
    evaluated: tuple[torch.Tensor, torch.Tensor],
    solve: Solve,
    product: Product,
) -> Outcome:
    """Take a step ``θ ← θ − t ε d`` with ``d = (A + λI)⁻¹ g`` that lowers the objective.

    Args:
        theta: parameters ``[R, P]``.
        objective: on the batch.
        state: with the current damping.
        h: the field ``lr``.
        evaluated: value ``[R]`` and gradient ``[R, P]`` at ``theta``.
        solve: solves the damped system.
        product: ``v [R, P]`` → ``A v``, the curvature of the quadratic model.
    """
    loss, g = evaluated
    least = torch.zeros_like(loss).unsqueeze(1) + h.damping
    damping = state[DAMPING].clamp(max=MOST).maximum(least)
    runs = theta.shape[0]
    after, notes = theta, [""] * runs
    # A rate of zero, with which a schedule may begin, asks for no step: none is refused then.
    rated = (torch.zeros_like(loss).unsqueeze(1) + h.lr != 0.0).squeeze(1)
    pending = (g != 0.0).any(dim=1) & rated
    for _ in range(ATTEMPTS):
        # A run without a gradient here costs no product; see BatchObjective.
        its_g = torch.where(pending.unsqueeze(1), g, 0.0)
        direction, reasons = solve(damping, its_g)
        step = h.lr * direction
        slope = -row_dots(its_g, step)
        length, value = _shortened(theta, objective, loss, step, slope, pending)
        predicted = slope + 0.5 * row_dots(step, product(step))
        ratio = (value - loss) / predicted
        accepted = pending & (length > 0.0)
        after = torch.where(accepted.unsqueeze(1), theta - length.unsqueeze(1) * step, after)
        full = accepted & (length == 1.0)
        factor = torch.where(
            full & (ratio > GOOD) & (predicted < 0.0),
            1.0 / FACTOR,
            torch.where(full & (ratio > POOR), 1.0, FACTOR),
        )
        factor = torch.where(accepted, factor, FACTOR**2)
        # Near a minimum both changes are rounding errors, and their ratio says nothing.
        factor = torch.where(accepted & (predicted.abs() <= rounding(loss)), 1.0, factor)
        damping = torch.where(pending.unsqueeze(1), damping * factor.unsqueeze(1), damping)
        damping = damping.clamp(max=MOST).maximum(least)
        notes = [
            reason if taken else note
            for reason, note, taken in zip(reasons, notes, accepted.tolist(), strict=True)
        ]
        pending = pending & ~accepted
        if not bool(pending.any()):
            break
    for run, refused in enumerate(pending.tolist()):
        if refused:
            notes[run] = (
                f"the step was refused: no step with a damping up to {float(damping[run]):.3g} lowers"
                " the objective on its batch; the parameters stay"
            )
    return Outcome(after, {DAMPING: damping}, loss, g, tuple(notes))


def _shortened(
    theta: torch.Tensor,
    objective: Objective,
    loss: torch.Tensor,
    step: torch.Tensor,
    slope: torch.Tensor,
    pending: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the share ``[R]`` of each step that lowers the objective enough, and the value there.

    The share is 1, ½, ¼, …, and 0 where no step does.

    Args:
        step: steps ``[R, P]`` to subtract. slope: first-order changes ``[R]`` along them.
        pending: runs ``[R]`` that look for a step.
    """
    share = torch.ones_like(loss)
    found = torch.zeros_like(loss)
    value = objective.loss(theta - step)
    reached = value
    # An ascent direction has no length that lowers the objective to first order.
    searching = pending & (slope < 0.0)
    for _ in range(HALVINGS):
        enough = searching & (value <= loss + SUFFICIENT * share * slope + rounding(loss))
        found = torch.where(enough, share, found)
        reached = torch.where(enough, value, reached)
        searching = searching & ~enough
        if not bool(searching.any()):
            break
        share = torch.where(searching, 0.5 * share, share)
        value = objective.loss(theta - share.unsqueeze(1) * step)
    return found, reached


def rounding(loss: torch.Tensor) -> torch.Tensor:
    """Return the size ``[R]`` of differences of the objective that are rounding errors."""
    return 8.0 * torch.finfo(loss.dtype).eps * loss.abs()
