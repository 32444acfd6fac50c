"""The Levenberg–Marquardt method in a trust region, as in MINPACK."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers._damped_steps import rounding
from optlab.catalogue.optimizers._runs import run_by_run
from optlab.catalogue.optimizers._second_order import Solver
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import choice, number
from optlab.core.lazy import torch
from optlab.numerics import trust_region
from optlab.numerics.scaling import dot

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

Scaling = Literal["none", "columns"]
Trial = Callable[[float, float], "tuple[torch.Tensor, float, float]"]
"""Radius and damping → step ``[1, P]`` in units of the scale, its damping, and ``qᵀBq``."""

ATTEMPTS = 12
"""Trials with ever smaller radii in one step, at most."""
ACCEPTED = 1e-4
"""Ratio of actual to predicted decrease from which a step is taken."""


class LevenbergMarquardt(ObjectiveOptimizer):
    """Gauss–Newton steps that are not longer than the linear model of the outputs is valid.

    The damping is chosen so that the step just fits into the trust region, which grows where the
    quadratic model predicts the decrease of the objective well and shrinks where it does not. Far
    from a minimum this is gradient descent with short steps, near it the Gauss–Newton method. A
    trial that does not lower the objective is repeated with a smaller region; a step always lowers
    the objective on its batch, or is refused.

    The method is made for least squares with all examples in a batch and few parameters, where
    nothing converges faster. Beside the squared error it serves any loss of this program that is
    convex in the outputs. For many parameters conjugate gradients find the step in the region, with
    memory O(P). On the digits in batches of 512, 200 gradients and their equivalents then lower the
    loss of most models below that of momentum; those of the autoencoder and the transformer, for
    which they are eleven and fourteen steps, stay above.
    """

    name: ClassVar[str] = "levenberg_marquardt"
    label: ClassVar[str] = "Levenberg–Marquardt"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 214
    rule: ClassVar[tuple[str, ...]] = (
        r"G = \frac{1}{m} \sum_{i=1}^{m} J_i^{\top} S_i J_i + W",
        r"p = -(G + \lambda D^2)^{-1} g \quad \mathrm{with}\quad \|D p\| \leq \Delta",
        r"\rho = \frac{J(\theta + p) - J(\theta)}{g^{\top} p + \frac{1}{2} p^{\top} G p}",
        r"\theta \leftarrow \theta + p \quad \mathrm{if}\ \rho \geq 10^{-4}",
        r"\Delta \leftarrow 2 \|D p\| \quad \mathrm{if}\ \rho \geq \frac{3}{4}",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "p", "ratio", "after", "radius")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "G": "Gauss–Newton matrix on the same batch",
        "J": "value of the objective on the batch",
        "J_i": "Jacobian of the outputs for example i by the parameters",
        "S_i": "Hessian of the loss of example i by the outputs; 2I for the squared error",
        "W": "Hessian of the weight-decay terms",
        "m": "number of examples in the batch",
        "λ": "damping, 0 where the Gauss–Newton step is short enough",
        "D": "scale of the parameters: I, or the largest √G_ii so far",
        "Δ": "radius of the trust region",
        "ρ": "actual by predicted change; if it is at most ¼, Δ shrinks to between ⅒ and ½",
    }
    source: ClassVar[str] = (
        "K. Levenberg (1944); D. Marquardt (1963); J. Moré, The Levenberg–Marquardt algorithm:"
        " implementation and theory (1978); not in the notes."
    )
    differences: ClassVar[str] = (
        'For the squared error the accepted points are those of scipy.optimize.least_squares(method="lm")'
        " (MINPACK's lmder). MINPACK stops where the steps become small; this rule goes on, because"
        " the next batch may be another. For many parameters the scale is I."
    )
    needs_predictions: ClassVar[bool] = True

    factor: float = number(
        0.1,
        "First radius",
        gt=0.0,
        log=True,
        slider=(1e-3, 100.0),
        help="Radius of the first trust region in units of ‖Dθ‖.",
        why="The least that MINPACK advises: for networks longer first steps cost more products than"
        " they are worth. MINPACK's default is 100, with which the first step is the Gauss–Newton step"
        " unless it fails.",
    )
    scaling: Scaling = choice(
        "none",
        "Scale",
        help="“none” measures steps in the units of the parameters; “columns” divides each parameter"
        " by the largest norm so far of its column in the Jacobian, so that units do not matter.",
    )
    solver: Solver = second_order.solver(
        "uses conjugate gradients on products with the Gauss–Newton matrix, without scaling"
    )
    iterations: int = second_order.iterations()
    tolerance: float = second_order.tolerance()

    def refusal(self, parameters: int) -> str:
        return second_order.refusal(self.solver, parameters)

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        column = torch.zeros_like(theta[:, :1])
        # A radius of zero is one that the first step sets.
        return {"radius": column, "damping": column, "scale": torch.zeros_like(theta)}

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
    scale, trial = _model(theta, objective, state, h, g)
    kept_scale = scale if h.scaling == "columns" else state["scale"]
    size = _norm(scale * theta)
    radius, damping = float(state["radius"]), float(state["damping"])
    first = radius == 0.0
    if first:
        radius = h.factor * size or h.factor
    began = radius, damping
    before, least = value.item(), float(rounding(value))
    after, accepted, attempt = theta, False, 0
    while not accepted and attempt < ATTEMPTS:
        attempt += 1
        q, damping, curvature = trial(radius, damping)
        p, length = q / scale, _norm(q)
        if first:
            radius = min(radius, length)
        reached = objective.loss(theta + p).item()
        decrease = before - reached
        # Along q the model is gᵀp + ½qᵀBq, and gᵀp = −qᵀBq − λ‖q‖² of a step that is exact.
        slope = dot(g, p)
        predicted = -(slope + 0.5 * curvature)
        if predicted <= least and decrease >= -least:
            # Near a minimum both are rounding errors, and their ratio says nothing.
            accepted, ratio = True, 1.0
            radius, damping = began
            break
        ratio = decrease / predicted if math.isfinite(reached) and predicted > 0.0 else -1.0
        accepted = ratio >= ACCEPTED
        if ratio <= 0.25:
            share = _shrunk(before, reached, slope)
            radius, damping = share * min(radius, 10.0 * length), damping / share
        elif damping == 0.0 or ratio >= 0.75:
            radius, damping = 2.0 * length, 0.5 * damping
    note = ""
    if accepted:
        after = theta + p
    else:
        note = (
            f"the step was refused: none of {ATTEMPTS} trials in regions down to a radius of"
            f" {radius:.3g} lowers the objective on its batch; the parameters stay"
        )
    column = torch.ones_like(state["radius"])
    kept = {"radius": radius * column, "damping": damping * column, "scale": kept_scale}
    return Outcome(after, kept, value, g, (note,))


def _model(
    theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters, g: torch.Tensor
) -> tuple[torch.Tensor, Trial]:
    """Return the scale ``[1, P]``, and the solver of the step in the trust region."""
    scale = torch.ones_like(theta)
    if not second_order.builds_matrix(h, theta):
        product = objective.gauss_newton_product(theta)
        tolerance = h.tolerance * _norm(g)

        def by_products(radius: float, damping: float) -> tuple[torch.Tensor, float, float]:
            found = trust_region.steihaug(
                product, g, radius, iterations=h.iterations, tolerance=tolerance
            )
            # What the model predicts is gᵀp + ½pᵀGp, so pᵀGp needs no further product.
            return found.p, 0.0, 2.0 * (found.value - dot(g, found.p))

        return scale, by_products
    matrix = objective.gauss_newton(theta)
    if h.scaling == "columns":
        # A parameter without effect so far has the scale 1, as in MINPACK.
        columns = matrix.diagonal(dim1=1, dim2=2).clamp(min=0.0).sqrt()
        scale = state["scale"].maximum(columns)
        scale = torch.where(scale > 0.0, scale, 1.0)
    scaled = matrix / (scale.unsqueeze(1) * scale.unsqueeze(2))
    steps = trust_region.DampedSteps(scaled, g / scale)

    def exact(radius: float, damping: float) -> tuple[torch.Tensor, float, float]:
        q, damping = steps.within(radius, damping)
        return q, damping, dot(q, (scaled @ q.unsqueeze(2)).squeeze(2))

    return scale, exact


def _shrunk(before: float, reached: float, slope: float) -> float:
    """Return the share of the radius that is left after a poor step (MINPACK's ``lmder``).

    Args:
        before, reached: values of the objective. slope: first-order change along the step.
    """
    if not math.isfinite(reached):
        return 0.1
    # MINPACK compares norms of residuals, which are roots of the objective unless it is negative.
    if min(before, reached) >= 0.0 and math.sqrt(reached) * 0.1 >= math.sqrt(before):
        return 0.1
    decrease = before - reached
    if decrease >= 0.0:
        return 0.5
    # Where the parabola through both values, with the slope at the start, is least.
    return max(0.5 * slope / (slope + decrease), 0.1)


def _norm(v: torch.Tensor) -> float:
    return math.sqrt(dot(v, v))
