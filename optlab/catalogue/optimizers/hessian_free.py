"""Hessian-free optimization: truncated Newton steps on the Gauss–Newton matrix."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from optlab.catalogue.optimizers._damped_steps import rounding
from optlab.catalogue.optimizers._runs import run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import integer, number
from optlab.core.lazy import torch
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.scaling import dot

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

PROGRESS = 5e-4
"""Relative progress of the quadratic model per iteration below which conjugate gradients end."""
LEAST_WINDOW, WINDOW = 10, 0.1
"""Iterations over which the progress is measured: at least 10, and a tenth of those so far."""
SPACING = 1.3
"""Ratio of the numbers of the iterates that are kept for backtracking."""
SUFFICIENT, SHORTENING, TRIALS = 1e-2, 0.8, 60
"""Armijo's condition of the line search, the factor of its trials, and how many there are."""
GOOD, POOR, FACTOR = 0.75, 0.25, 1.5
"""Ratios beyond which the damping changes, and the factor by which it does."""


class HessianFree(ObjectiveOptimizer):
    """Newton's method for networks, by products with the Gauss–Newton matrix alone.

    Each step minimizes a damped quadratic model by conjugate gradients, which begin at the last step
    and end when they no longer make progress, long before they converge. The best of the iterates on
    the way, judged by the objective itself, becomes the direction of a line search. The damping
    rises where the model predicted the change of the objective badly, and falls where it did well.

    This is how deep networks were first trained without pretraining. A step costs tens to hundreds of
    gradients, and it fits its batch, so it wants batches of at least several hundred examples. On the
    digits in batches of 512, 200 gradients and their equivalents are eight steps; they lower the loss
    of the multilayer perceptron, the CNN, recurrent networks and softmax regression below that of
    momentum, and those of the deep linear network, the autoencoder and the transformer, which need
    more steps, less.
    """

    name: ClassVar[str] = "hessian_free"
    label: ClassVar[str] = "Hessian-free"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 216
    rule: ClassVar[tuple[str, ...]] = (
        r"G = \frac{1}{m} \sum_{i=1}^{m} J_i^{\top} S_i J_i + W",
        r"d = \mathrm{CG}\left(G + \lambda I,\ -g;\ \zeta d\right)",
        r"t = \max\left\{0.8^k:\ J(\theta + 0.8^k d) \leq J(\theta) + 0.01 \cdot 0.8^k g^{\top} d"
        r"\right\}",
        r"\theta \leftarrow \theta + t\, d",
        r"\rho = \frac{J(\theta + d) - J(\theta)}{g^{\top} d + \frac{1}{2} d^{\top} G d}",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "d", "t", "after", "ratio")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "G": "Gauss–Newton matrix on the same batch",
        "J": "value of the objective on the batch",
        "J_i": "Jacobian of the outputs for example i by the parameters",
        "S_i": "Hessian of the loss of example i by the outputs; 2I for the squared error",
        "W": "Hessian of the weight-decay terms",
        "m": "number of examples in the batch",
        "d": "direction: of the iterates of conjugate gradients, which begin at ζ times the last"
        " one, the one where the objective is least",
        "t": "length of the step; k = 0, 1, 2, …",
        "ρ": "actual by predicted change: λ is multiplied by 3/2 below ¼ and by 2/3 above ¾",
    }
    source: ClassVar[str] = (
        "J. Martens, Deep learning via Hessian-free optimization (2010); J. Martens, I. Sutskever,"
        " Training deep and recurrent networks with Hessian-free optimization (2012); not in the"
        " notes."
    )
    differences: ClassVar[str] = (
        "torch has no such optimizer. The papers also precondition conjugate gradients with squared"
        " gradients of single examples, and damp hidden states of recurrent networks; this rule does"
        " not. Iterates are compared on the batch of the gradient, and products use all of it. The ratio ρ"
        " is that of the model without its damping. A direction that was refused is no warm start."
    )
    needs_predictions: ClassVar[bool] = True

    damping: float = number(
        0.1,
        "First damping",
        symbol="λ",
        gt=0.0,
        log=True,
        slider=(1e-4, 100.0),
        help="Damping of the first step; it adapts from there.",
        why="Early steps have to be short. It falls by a third with every step that the model"
        " predicts well.",
    )
    warm: float = number(
        0.95,
        "Warm start",
        symbol="ζ",
        ge=0.0,
        le=1.0,
        slider=(0.0, 1.0),
        help="Conjugate gradients begin at this share of the last direction; 0 begins at zero.",
        why="Martens and Sutskever (2012) shrink it a little, since what was good for the last batch"
        " is not all good for the next; Martens (2010) uses 1.",
    )
    iterations: int = integer(
        12,
        "Maximum iterations",
        ge=1,
        le=10_000,
        log=True,
        slider=(1, 500),
        help="Products with the matrix in a step, at most; each costs about two gradients.",
        why="On the digits more steps of fewer products lower the loss faster. The papers allow 250, on"
        " batches of thousands; progress then ends them earlier.",
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        return {
            "direction": torch.zeros_like(theta),
            "damping": torch.zeros_like(theta[:, :1]) + h.damping,
        }

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    value, g = objective.gradient(theta)
    if not bool(torch.isfinite(g).all()):
        return Outcome(theta + g, dict(state), value, g, ("",))
    if not bool(g.any()):
        return Outcome(theta, dict(state), value, g, ("",))
    damping = float(state["damping"])
    product = objective.gauss_newton_product(theta)
    iterates = _iterates(product, g, damping, h.warm * state["direction"], h.iterations)
    before, least = value.item(), float(rounding(value))
    d, undamped, reached = _backtracked(theta, objective, iterates, least)
    slope = dot(g, d)
    predicted = slope + 0.5 * undamped
    if abs(predicted) <= least and abs(reached - before) <= least:
        # Near a minimum both are rounding errors, and their ratio says nothing.
        kept = {**state, "direction": d}
        return Outcome(theta + d, kept, value, g, ("",))
    ratio = (reached - before) / predicted if math.isfinite(reached) else -math.inf
    if ratio < POOR or predicted >= 0.0:
        damping *= FACTOR
    elif ratio > GOOD:
        damping /= FACTOR
    t, note = _line_search(theta, objective, d, before, slope, reached, least)
    after = theta + t * d if t > 0.0 else theta
    kept = {
        # What was refused is no beginning for the next step.
        "direction": d if t > 0.0 else torch.zeros_like(d),
        "damping": torch.full_like(state["damping"], damping),
    }
    return Outcome(after, kept, value, g, (note,))


class _Iterate(NamedTuple):
    """An iterate of conjugate gradients.

    Attributes:
        x: ``[1, P]``. curvature: ``xᵀGx``, without damping.
    """

    x: torch.Tensor
    curvature: float


def _iterates(
    product: Product, g: torch.Tensor, damping: float, start: torch.Tensor, iterations: int
) -> list[_Iterate]:
    """Return iterates that minimize ``gᵀx + ½xᵀ(G + λI)x`` from ``start``, the last one included.

    Those between have numbers that grow by the factor :data:`SPACING`.
    """
    x = start
    # G x + λ x, updated along with x: the value of the model then costs no further product.
    ax = product(x) + damping * x if bool(x.any()) else torch.zeros_like(x)
    r = -g - ax
    d, rr = r, dot(r, r)
    values: list[float] = []
    kept: list[_Iterate] = []
    due = 1.0
    for count in range(1, iterations + 1):
        if rr == 0.0:
            break
        ad = product(d) + damping * d
        curvature = dot(d, ad)
        # Rounding can make the curvature of a flat direction negative.
        if not curvature > 0.0:
            break
        alpha = rr / curvature
        x, ax, r = x + alpha * d, ax + alpha * ad, r - alpha * ad
        rr_next = dot(r, r)
        d, rr = r + (rr_next / rr) * d, rr_next
        values.append(dot(g, x) + 0.5 * dot(x, ax))
        ended = _ended(values) or count == iterations
        if count >= math.ceil(due) or ended:
            kept.append(_Iterate(x, dot(x, ax) - damping * dot(x, x)))
            while math.ceil(due) <= count:
                due *= SPACING
        if ended:
            return kept
    # A last iterate that was not due; where there is none, the start itself.
    if not kept or kept[-1].x is not x:
        kept.append(_Iterate(x, dot(x, ax) - damping * dot(x, x)))
    return kept


def _ended(values: list[float]) -> bool:
    """Return whether the model, with these values so far, makes too little progress."""
    number = len(values)
    window = max(LEAST_WINDOW, int(WINDOW * number))
    if number <= window or values[-1] >= 0.0:
        return False
    return (values[-1] - values[-1 - window]) / values[-1] < window * PROGRESS


def _backtracked(
    theta: torch.Tensor, objective: Objective, iterates: list[_Iterate], least: float
) -> tuple[torch.Tensor, float, float]:
    """Return the iterate ``[1, P]`` before which the objective is no less, from the last one back.

    Args:
        least: size of rounding errors of the objective.

    Returns:
        With it ``xᵀGx``, and the value of the objective there.
    """
    best, reached = iterates[-1], objective.loss(theta + iterates[-1].x).item()
    for iterate in reversed(iterates[:-1]):
        value = objective.loss(theta + iterate.x).item()
        # Iterates that have converged differ by rounding errors, which must not stop it.
        if not (value <= reached + least or math.isnan(reached)):
            break
        best, reached = iterate, value
    return best.x, best.curvature, reached


def _line_search(
    theta: torch.Tensor,
    objective: Objective,
    d: torch.Tensor,
    before: float,
    slope: float,
    reached: float,
    least: float,
) -> tuple[float, str]:
    """Return the length of the step along ``d``, 0 where it is refused, and why it is.

    Args:
        before, reached: values of the objective at ``theta`` and after all of ``d``. slope: at
            ``theta`` along ``d``. least: size of rounding errors of the objective.
    """
    share, value = 1.0, reached
    # An ascent direction has no length that lowers the objective to first order.
    for _ in range(TRIALS if slope < 0.0 else 0):
        if value <= before + SUFFICIENT * share * slope + least:
            return share, ""
        share *= SHORTENING
        value = objective.loss(theta + share * d).item()
    note = (
        "the step was refused: the direction leads uphill to first order"
        if slope >= 0.0
        else f"the step was refused: no length of it down to {share:.3g} lowers the objective enough"
    )
    return 0.0, f"{note}; the parameters stay"
