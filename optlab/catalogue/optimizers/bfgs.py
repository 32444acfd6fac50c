"""BFGS: an estimate of the inverse Hessian from gradients (A13)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import (
    has_positive_curvature,
    initial_step_length,
    line_search,
    run_by_run,
)
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.numerics.scaling import dot

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

MAX_PARAMETERS = 3_000
"""P up to which the P × P matrix is kept.

It takes 36 MB in float32 and 72 MB in float64, in the state and again in each snapshot.
"""


class BFGS(ObjectiveOptimizer):
    """Newton's method with an inverse Hessian estimated from changes of the gradient.

    After every step the matrix is changed as little as possible such that it maps the change of the
    gradient to the step that caused it (the secant equation) and stays symmetric and positive
    definite. Near a minimum the steps approach Newton steps, without second derivatives or linear
    systems.

    The method stores P × P numbers, so it is for small models (up to 3,000 parameters); L-BFGS
    needs a few vectors only. Use the full batch or a large one: the line search and the update of
    the matrix use the batch of the step, and on small batches the matrix fits noise. Both gradients
    of a step, at its start and at its end, are evaluated on the same batch; a step costs one
    gradient plus one per trial of the line search, usually 2 in total.

    If the direction is not a descent direction or the line search fails, the matrix is reset and
    the method restarts from the negative gradient; the run reports it. After a failed search the
    matrix is a multiple of the identity: the directions of the curvature are forgotten, not its size.
    """

    name: ClassVar[str] = "bfgs"
    label: ClassVar[str] = "BFGS"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 250
    rule: ClassVar[tuple[str, ...]] = (
        r"\theta_+ = \theta - t M g,\quad t \text{ by line search}",
        r"s = \theta_+ - \theta,\quad y = g_+ - g,\quad \rho = \frac{1}{y^\top s}",
        r"M \leftarrow (I - \rho s y^\top) M (I - \rho y s^\top) + \rho s s^\top",
    )
    traced: ClassVar[tuple[str, ...]] = ("after", "s", "y", "", "matrix")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient at the start of the step",
        "g₊": "gradient at its end, on the same batch",
        "M": "estimate of the inverse Hessian; initially the identity, scaled by yᵀs/yᵀy before"
        " its first update",
        "s, y": "change of the parameters and of the gradient",
        "t": "step length that satisfies the strong Wolfe conditions",
    }
    source: ClassVar[str] = (
        "Deep Learning, section 8.6.3; C. Broyden, R. Fletcher, D. Goldfarb, D. Shanno (1970);"
        " Nocedal and Wright, Algorithm 6.1 and (6.20)."
    )
    differences: ClassVar[str] = (
        "scipy.optimize.minimize(method='BFGS') does not scale the first matrix, and reuses the"
        " gradient at the end of a step as that at the start of the next."
    )

    c2: float = shared.line_search_accuracy(0.9)

    def refusal(self, parameters: int) -> str:
        if parameters <= MAX_PARAMETERS:
            return ""
        return (
            "optimizer.name is 'bfgs', which keeps a matrix of P × P numbers and takes up to"
            f" {MAX_PARAMETERS:,} parameters, but the model has {parameters:,}; use lbfgs."
        )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        runs, parameters = theta.shape
        reason = BFGS().refusal(parameters)
        if reason:
            raise InvalidInput(reason, "optimizer.name")
        identity = torch.eye(parameters, dtype=theta.dtype, device=theta.device).repeat(runs, 1, 1)
        return {
            "inverse": identity,
            "pairs": torch.zeros(runs, 1, dtype=torch.int64, device=theta.device),
        }

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    """Take one step; ``pairs`` counts the updates, 0 while the matrix is the identity."""
    value, g = objective.gradient(theta)
    if not dot(g, g) > 0.0:
        return Outcome(theta, state, value, g)
    notes: list[str] = []
    matrix, pairs = state["inverse"], int(state["pairs"].item())
    d = -(matrix @ g.unsqueeze(2)).squeeze(2)
    if not dot(g, d) < 0.0:
        notes.append(
            "the direction is not a descent direction; the inverse Hessian was reset and the step"
            " follows the negative gradient"
        )
        matrix, pairs, d = _identity(matrix), 0, -g
    first = 1.0 if pairs else initial_step_length(theta, value, g, d)
    search = line_search(theta, d, objective, value, g, first, h.c2)
    best = search.best
    t = best.t
    after = theta + t * d
    if search.problem:
        notes.append(f"the line search failed: {search.problem}; the inverse Hessian was reset")
        # The size of the curvature is known, if the matrix was updated; its directions are not.
        size = float(matrix.diagonal(dim1=1, dim2=2).mean()) if pairs else 1.0
        matrix, pairs = _identity(matrix) * size, min(pairs, 1)
    else:
        s, y = t * d, best.gradient - g
        # Positive wherever the strong Wolfe conditions hold, up to rounding.
        if has_positive_curvature(s, y):
            matrix, pairs = (
                _updated(matrix if pairs else matrix * (dot(s, y) / dot(y, y)), s, y),
                pairs + 1,
            )
        else:
            notes.append(
                "the gradient did not change along the step; the inverse Hessian was not updated"
            )
    return Outcome(
        after,
        {"inverse": matrix, "pairs": torch.full_like(state["pairs"], pairs)},
        value,
        g,
        ("; ".join(notes),),
    )


def _updated(matrix: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the inverse Hessian ``[1, P, P]`` updated with the pair ``s``, ``y`` ``[1, P]``.

    The rule is multiplied out, which costs P² instead of P³ operations. With s and y of unit
    length every product is of the size of the matrix, however long the step or steep the objective;
    ρ alone would overflow.
    """
    length, change = math.sqrt(dot(s, s)), math.sqrt(dot(y, y))
    s, y = s / length, y / change
    rho = 1.0 / dot(s, y)
    my = (matrix @ y.unsqueeze(2)).squeeze(2)
    cross = s.unsqueeze(2) * (rho * my).unsqueeze(1)
    along = rho * rho * dot(y, my) + rho * (length / change)
    return matrix - (cross + cross.transpose(1, 2)) + along * s.unsqueeze(2) * s.unsqueeze(1)


def _identity(matrix: torch.Tensor) -> torch.Tensor:
    return torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device).unsqueeze(0)
