"""K-FAC: natural gradients with Kronecker-factored curvature."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._damped_steps import rounding
from optlab.catalogue.optimizers._runs import run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.errors import InvalidInput
from optlab.core.fields import flag, number
from optlab.core.lazy import torch
from optlab.numerics import kronecker
from optlab.numerics.scaling import dot

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

ATTEMPTS = 6
"""Solves with ever more damping in one step, at most."""
RAISED = 4.0
"""Factor of the damping after a step that does not lower the objective."""
GOOD, POOR, FACTOR = 0.75, 0.25, 0.95
"""Ratios beyond which the damping changes, and the factor by which it does."""


class KFAC(ObjectiveOptimizer):
    """Natural gradients with one small pair of matrices for each layer.

    The Fisher matrix is approximated by a block for each layer, and each block by the Kronecker
    product of two small matrices: the second moment of the layer's inputs, and that of the gradients
    by its outputs for targets that the model itself predicts. Both are averaged over the steps, so
    that many batches contribute, and they are inverted in a moment where the Fisher matrix could not
    even be stored. Two products with the exact matrix then tell how far to go along the direction,
    and how much of the last step to take again. The damping rises where the quadratic model predicts
    the objective badly; a step that does not lower it on its batch is repeated with more.

    It is for models made of affine layers and convolutions. A convolution counts as an affine layer
    that is used at many places. A step costs about six gradients and its matrices. On the digits in
    batches of 512, 200 gradients and their equivalents lower the loss of every such model below that
    of momentum but for the autoencoder, where they are about equal.
    """

    name: ClassVar[str] = "k_fac"
    label: ClassVar[str] = "K-FAC"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 222
    rule: ClassVar[tuple[str, ...]] = (
        r"A_l \leftarrow \rho A_l + (1 - \rho)\, \frac{1}{m} \sum_{i=1}^{m} a_{l,i} a_{l,i}^{\top}",
        r"S_l \leftarrow \rho S_l + (1 - \rho)\, \frac{1}{m} \sum_{i=1}^{m} \delta_{l,i}"
        r" \delta_{l,i}^{\top}",
        r"d_l = -\left(S_l + \frac{\sqrt{\lambda}}{\pi_l} I\right)^{-1} g_l \left(A_l + \pi_l"
        r" \sqrt{\lambda}\, I\right)^{-1}",
        r"v \leftarrow \eta\, d + \mu\, v",
        r"\theta \leftarrow \theta + v",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "", "d", "v", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch; g_l that of layer l as a matrix",
        "a_l": "inputs of layer l, with a 1 for the bias",
        "δ_l": "gradient by the outputs of layer l, for a target drawn from the prediction",
        "m": "number of examples in the batch",
        "π_l": "root of the ratio of the mean eigenvalues of A_l and S_l",
        "v": "step, initially 0",
        "η, μ": "numbers for which the quadratic model with the exact Gauss–Newton matrix and λ is"
        " least",
    }
    source: ClassVar[str] = (
        "J. Martens, R. Grosse, Optimizing Neural Networks with Kronecker-factored Approximate"
        " Curvature (2015); convolutions: R. Grosse, J. Martens (2016); not in the notes."
    )
    differences: ClassVar[str] = (
        "This is the block-diagonal form. The factors are inverted at every step, their damping is √λ"
        " (the paper searches around it), and λ changes by 5% a step (the paper: every fifth step, as"
        " much). A step that raises the objective, which the paper takes, is repeated with four times"
        " the damping, and refused after six trials. Libraries often take the gradients of the data"
        " in place of drawn targets."
    )
    needs_predictions: ClassVar[bool] = True
    needs_layers: ClassVar[bool] = True

    damping: float = number(
        0.03,
        "First damping",
        symbol="λ",
        gt=0.0,
        log=True,
        slider=(1e-4, 100.0),
        help="Damping of the first step; it adapts from there.",
        why="Of 0.003 to 1, it trains all models that it takes well on the digits. The paper begins at"
        " 150 with losses that are sums over hundreds of pixels.",
    )
    decay: float = shared.decay(
        0.95,
        help="Share of the factors that a step keeps, at most; the first steps average equally.",
        why="The value of the paper.",
    )
    momentum: bool = flag(
        True,
        "Momentum",
        help="Takes a part of the last step again, as much as the quadratic model advises; it costs"
        " a product more.",
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        column = theta[:, :1]
        count = kronecker.values(kronecker.layer_shapes(h.layout))
        return {
            "factors": column.new_zeros(len(theta), count),
            "v": torch.zeros_like(theta),
            "damping": torch.zeros_like(column) + h.damping,
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
    shapes = kronecker.layer_shapes(h.layout)
    flat = _averaged(theta, objective, state, h, shapes)
    if not bool(g.any()):
        return Outcome(theta, {**state, "factors": flat}, value, g, ("",))
    factors = kronecker.split(flat, shapes)
    product = objective.gauss_newton_product(theta)
    last = state["v"]
    again = product(last) if h.momentum and bool(last.any()) else None
    damping = float(state["damping"])
    before, least = value.item(), float(rounding(value))
    v, after = torch.zeros_like(theta), theta
    note = ""
    for _ in range(ATTEMPTS):
        d = -kronecker.solve(h.layout, shapes, factors, g, math.sqrt(damping))
        trial = _combined(g, d, product(d), last, again, damping)
        # Where the model is least along both directions, its value is half the slope.
        predicted = 0.5 * dot(g, trial)
        change = objective.loss(theta + trial).item() - before
        ratio = change / predicted if predicted < 0.0 else -math.inf
        negligible = abs(predicted) <= least and abs(change) <= least
        if ratio > 0.0 or negligible:
            v, after = trial, theta + trial
            if ratio > GOOD and not negligible:
                damping *= FACTOR
            elif ratio < POOR and not negligible:
                damping /= FACTOR
            break
        damping *= RAISED
    else:
        note = (
            f"the step was refused: no step with a damping up to {damping / RAISED:.3g} lowers the"
            " objective on its batch; the parameters stay"
        )
    kept = {"factors": flat, "v": v, "damping": torch.full_like(state["damping"], damping)}
    return Outcome(after, kept, value, g, (note,))


def _averaged(
    theta: torch.Tensor,
    objective: Objective,
    state: State,
    h: Hyperparameters,
    shapes: list[kronecker.LayerShape],
) -> torch.Tensor:
    """Return the averages of the factors ``[1, N]`` after this batch."""
    fresh = {one.weight: one for one in objective.layer_factors(theta, "k_fac")}
    for shape in shapes:
        if shape.weight not in fresh:
            raise InvalidInput(
                "K-FAC knows the curvature of affine layers and convolutions that are used once, but"
                f" {h.layout.parameters[shape.weight].name} is not the weight of one; use"
                " hessian_free, which takes any model."
            )
    added = kronecker.joined([fresh[shape.weight] for shape in shapes])
    if not bool(torch.isfinite(added).all()):
        return state["factors"]
    share = min(1.0 - 1.0 / h.step, h.decay)
    averages: torch.Tensor = share * state["factors"] + (1.0 - share) * added
    return averages


def _combined(
    g: torch.Tensor,
    d: torch.Tensor,
    along: torch.Tensor,
    last: torch.Tensor,
    again: torch.Tensor | None,
    damping: float,
) -> torch.Tensor:
    """Return ``η d + μ v`` where the damped quadratic model is least.

    Args:
        g, d: gradient and direction ``[1, P]``. along: Gd. last: v, the last step. again: Gv, or
            None where the last step has no part.
    """
    first = dot(d, along) + damping * dot(d, d)
    slope = dot(g, d)
    if again is not None:
        mixed = dot(d, again) + damping * dot(d, last)
        second = dot(last, again) + damping * dot(last, last)
        determinant = first * second - mixed * mixed
        # Otherwise both are the same direction, up to rounding.
        if determinant > 1e-6 * first * second:
            pull = dot(g, last)
            eta = (mixed * pull - second * slope) / determinant
            mu = (mixed * slope - first * pull) / determinant
            return eta * d + mu * last
    # Squares of a gradient near zero vanish, and no step along it can be measured.
    return torch.zeros_like(d) if first == 0.0 else (-slope / first) * d
