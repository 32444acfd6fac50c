"""BFGS: the inverse Hessian learned from gradients (A13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import curved, dot, each, first_length, line_search
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

LARGEST = 3_000
"""Parameters up to which the P × P matrix is kept: 36 MB in float32, 72 MB in float64, in the state
and again in each snapshot.
"""


class BFGS(ObjectiveOptimizer):
    """Newton's method with an inverse Hessian that is learned from the change of the gradient along
    each step.

    After every step the matrix is changed as little as is needed for it to map the change of the
    gradient to the step that caused it (the secant equation) and to stay symmetric and positive
    definite. Near a minimum the steps become Newton's, without a second derivative or a linear
    system.

    It keeps P × P numbers, so it is for small models (up to 3,000 parameters); L-BFGS does the same
    from a few vectors. Use the full batch or a large one: the search and the pair of each step see
    this step's batch only, and on small batches the matrix learns noise. The gradient at the end of
    a step is taken on the same batch as the one at its start, which is taken anew; a step costs one
    gradient and one for each trial of the line search, usually 2 in all.

    Where a direction does not lead downhill or the search gives up, the matrix is forgotten and the
    method starts anew from the negative gradient; the run tells so.
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
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient at the start of the step",
        "g₊": "gradient at its end, on the same batch",
        "M": "estimate of the inverse Hessian; the identity at first, yᵀs/yᵀy times that before its first change",
        "s, y": "change of the parameters and of the gradient",
        "t": "step length that satisfies the strong Wolfe conditions",
    }
    source: ClassVar[str] = (
        "Deep Learning, section 8.6.3; C. Broyden, R. Fletcher, D. Goldfarb, D. Shanno (1970); Nocedal and Wright, Algorithm 6.1 and (6.20)."
    )
    differences: ClassVar[str] = (
        "scipy.optimize.minimize(method='BFGS') does not scale the first matrix, and keeps the gradient of a step's end as that of the next one's start."
    )

    c2: float = shared.line_search_accuracy(0.9)

    def refusal(self, parameters: int) -> str:
        if parameters <= LARGEST:
            return ""
        return (
            f"optimizer.name is 'bfgs', which keeps a matrix of P × P numbers and takes up to {LARGEST:,} parameters, but the model has {parameters:,}; "
            "use lbfgs."
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
        return each(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    """``pairs`` counts what the matrix has learned from since it was the identity."""
    value, g = objective.gradient(theta)
    if not dot(g, g) > 0.0:
        return Outcome(theta, state, value, g)
    notes: list[str] = []
    matrix, pairs = state["inverse"], int(state["pairs"].item())
    d = -(matrix @ g.unsqueeze(2)).squeeze(2)
    if not dot(g, d) < 0.0:
        notes.append(
            "the direction does not lead downhill; the inverse Hessian was forgotten and the step follows the negative gradient"
        )
        matrix, pairs, d = _identity(matrix), 0, -g
    found = line_search(theta, d, objective, value, g, 1.0 if pairs else first_length(g), h.c2)
    best = found.best
    after = theta + best.t * d
    if found.problem:
        notes.append(f"the line search gave up: {found.problem}; the inverse Hessian was forgotten")
        matrix, pairs = _identity(matrix), 0
    else:
        s, y = best.t * d, best.gradient - g
        # Sure to be positive where the strong Wolfe conditions hold, but for rounding.
        if curved(s, y):
            matrix, pairs = (
                _updated(matrix if pairs else matrix * (dot(s, y) / dot(y, y)), s, y),
                pairs + 1,
            )
        else:
            notes.append(
                "the gradient did not change along the step; the inverse Hessian was left as it is"
            )
    return Outcome(
        after,
        {"inverse": matrix, "pairs": torch.full_like(state["pairs"], pairs)},
        value,
        g,
        ("; ".join(notes),),
    )


def _updated(matrix: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The inverse Hessian ``[1, P, P]`` after the pair ``s``, ``y`` ``[1, P]``: the rule multiplied
    out, at the price of P² instead of P³.
    """
    rho = 1.0 / dot(s, y)
    my = (matrix @ y.unsqueeze(2)).squeeze(2)
    cross = s.unsqueeze(2) * my.unsqueeze(1)
    # In this order every product stays near one, however short the step: rho alone exceeds any
    # bound near a minimum.
    return (
        matrix
        - rho * (cross + cross.transpose(1, 2))
        + rho * s.unsqueeze(2) * (s.unsqueeze(1) * (rho * dot(y, my) + 1.0))
    )


def _identity(matrix: torch.Tensor) -> torch.Tensor:
    return torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device).unsqueeze(0)
