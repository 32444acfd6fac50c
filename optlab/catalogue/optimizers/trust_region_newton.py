"""Newton's method in a trust region, with conjugate gradients that end at its boundary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers._damped_steps import rounding
from optlab.catalogue.optimizers._runs import run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import number
from optlab.core.lazy import torch
from optlab.numerics.scaling import dot
from optlab.numerics.trust_region import steihaug

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

ATTEMPTS = 12
"""Trials with ever smaller radii in one step, at most."""


class TrustRegionNewton(ObjectiveOptimizer):
    """Newton steps that are not longer than the quadratic model is valid.

    The model of the objective, with its exact Hessian, is minimized within a ball. Conjugate
    gradients do that without a matrix: they end at the boundary of the ball, and where they meet a
    direction of negative curvature, they follow it there. So a saddle point, to which Newton's method
    is attracted, is left along the direction that leads down. The ball grows where the model
    predicts the change of the objective well and a step reached its boundary, and shrinks where it
    does not.

    A trial that does not lower the objective enough is repeated in a smaller ball. A step fits its
    batch, so larger batches suit it: on the digits in batches of 512, 200 gradients and their
    equivalents lower the loss of most models below that of momentum, and those of the autoencoder
    and the transformer, whose trust regions stay small, less.
    """

    name: ClassVar[str] = "trust_region_newton"
    label: ClassVar[str] = "Trust-region Newton"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 205
    rule: ClassVar[tuple[str, ...]] = (
        r"p = \mathrm{argmin}_{\|p\| \leq \Delta}\ g^{\top} p + \frac{1}{2} p^{\top} H p",
        r"\rho = \frac{J(\theta + p) - J(\theta)}{g^{\top} p + \frac{1}{2} p^{\top} H p}",
        r"\theta \leftarrow \theta + p \quad \mathrm{if}\ \rho > \eta",
        r"\Delta \leftarrow 2 \Delta \quad \mathrm{if}\ \rho > \frac{3}{4}\ \mathrm{at\ the\ boundary}",
    )
    traced: ClassVar[tuple[str, ...]] = ("p", "ratio", "after", "radius")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "H": "its Hessian on the same batch",
        "J": "value of the objective on the batch",
        "p": "step, found by conjugate gradients (Steihaug)",
        "ρ": "actual by predicted change; below ¼ the radius becomes a quarter",
    }
    source: ClassVar[str] = (
        "T. Steihaug, The conjugate gradient method and trust regions in large scale optimization"
        " (1983); J. Nocedal, S. Wright, Numerical Optimization, algorithms 4.1 and 7.2; not in the"
        " notes."
    )
    differences: ClassVar[str] = (
        'The accepted points are those of scipy.optimize.minimize(method="trust-ncg") where the'
        " number of products is not limited. SciPy counts a trial that is not accepted as a step of"
        " its own."
    )

    radius: float = number(
        1.0,
        "First radius",
        symbol="Δ",
        gt=0.0,
        log=True,
        slider=(1e-3, 100.0),
        help="Radius of the trust region of the first step.",
        why="The default of SciPy; it adapts within a few steps.",
    )
    largest: float = number(
        1000.0,
        "Largest radius",
        gt=0.0,
        log=True,
        slider=(1e-2, 1e4),
        help="The radius does not grow beyond.",
        why="The default of SciPy.",
    )
    acceptance: float = number(
        0.15,
        "Acceptance",
        symbol="η",
        ge=0.0,
        lt=0.25,
        slider=(0.0, 0.24),
        help="A trial is accepted if the actual change of the objective is more than this share of"
        " the predicted one.",
        why="The default of SciPy.",
    )
    iterations: int = second_order.iterations()

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        return {"ball": torch.zeros_like(theta[:, :1]) + h.radius}

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    value, g = objective.gradient(theta)
    if not bool(torch.isfinite(g).all()):
        return Outcome(theta + g, dict(state), value, g, ("",))
    norm = math.sqrt(dot(g, g))
    product = objective.hessian_product(theta) if norm > 0.0 else None
    radius = min(float(state["ball"]), h.largest)
    before, least = value.item(), float(rounding(value))
    after, accepted, note = theta, False, ""
    # Superlinear convergence: the closer to a critical point, the more exact the solution.
    tolerance = min(0.5, math.sqrt(norm)) * norm
    for _ in range(ATTEMPTS if product is not None else 0):
        assert product is not None
        found = steihaug(product, g, radius, iterations=h.iterations, tolerance=tolerance)
        p = found.p
        reached = objective.loss(theta + p).item()
        change = reached - before
        if abs(found.value) <= least and change <= least:
            # Near a minimum both are rounding errors, and their ratio says nothing.
            ratio = 0.5
        else:
            ratio = change / found.value if math.isfinite(reached) and found.value < 0.0 else -1.0
        accepted = ratio > h.acceptance
        if ratio < 0.25:
            radius *= 0.25
        elif ratio > 0.75 and found.at_boundary:
            radius = min(2.0 * radius, h.largest)
        if accepted:
            after = theta + p
            break
    if not accepted and product is not None:
        note = (
            f"the step was refused: none of {ATTEMPTS} trials in regions down to a radius of"
            f" {radius:.3g} lowers the objective on its batch enough; the parameters stay"
        )
    return Outcome(after, {"ball": torch.full_like(state["ball"], radius)}, value, g, (note,))
