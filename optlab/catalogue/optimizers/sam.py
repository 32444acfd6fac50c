"""SAM: the gradient at the worst point nearby, for flat minima."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._inner import inner_rule
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import choice, flag, number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

_TINY = 1e-12
"""Added to the norm of the gradient, as in the authors' code."""


class SAM(ObjectiveOptimizer):
    """Another rule with the gradient at the point nearby where the loss is about the largest.

    A flat minimum has low loss in its entire neighborhood. To first order the worst point at a
    distance ρ lies along the gradient; its gradient is that of the sharpened objective. Every step
    costs two gradients. The batch loss is that before the perturbation.
    """

    name: ClassVar[str] = "sam"
    label: ClassVar[str] = "SAM (sharpness-aware)"
    short: ClassVar[str] = "SAM"
    group: ClassVar[str] = "Wrapped rules"
    sort_order: ClassVar[int] = 102
    rule: ClassVar[tuple[str, ...]] = (
        r"e = \rho\, \frac{g}{\|g\|},\quad g = \nabla J(\theta)",
        r"\tilde{g} = \nabla J(\theta + e)",
        r"\theta \leftarrow \mathrm{rule}(\theta, \tilde{g})",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "e": "perturbation, of length ρ over all parameters",
        "g̃": "gradient at the perturbed point, on the same batch",
    }
    source: ClassVar[str] = (
        "P. Foret et al., Sharpness-Aware Minimization (2021), algorithm 1; J. Kwon et al., ASAM"
        " (2021); not in the notes."
    )
    differences: ClassVar[str] = (
        "torch has no SAM. The adaptive form perturbs by ρ θ² ⊙ g / ‖|θ| ⊙ g‖, as the authors' code"
        " does for all parameters. All fields of the first-order rule but ε and α have their"
        " defaults. Clipping does not act, as for all closure-based optimizers."
    )

    lr: float = shared.learning_rate(
        0.01,
        slider=(1e-5, 10.0),
        help="Learning rate of the first-order rule.",
        why="That of momentum, the default of the first-order rule.",
    )
    before: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "lion"] = choice(
        "momentum", "First-order rule", help="Rule that receives the gradient at the worst point."
    )
    momentum: float = shared.momentum(
        0.9,
        only_if=("before", ("momentum",)),
        help="Share of the velocity that a step keeps, for first-order rules with a velocity.",
    )
    rho: float = number(
        0.05,
        "Radius",
        symbol="ρ",
        ge=0.0,
        log=True,
        slider=(1e-3, 1.0),
        help="Length of the perturbation; 0 is the first-order rule alone.",
        why="The default of the authors. The adaptive form wants about ten times as much.",
    )
    adaptive: bool = flag(
        False,
        "Adaptive",
        help="Perturb each parameter in proportion to its size (ASAM), so that the scale of the"
        " weights does not matter.",
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        inner, inner_h = inner_rule(h.before, h)
        return inner.begin(theta, inner_h)

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        inner, inner_h = inner_rule(h.before, h)
        loss, g = objective.gradient(theta)
        scale = theta.abs() if h.adaptive else torch.ones_like(theta)
        length = torch.linalg.vector_norm(scale * g, dim=1, keepdim=True) + _TINY
        _, sharp = objective.gradient(theta + h.rho * scale * scale * g / length)
        after, own = inner.update(theta, sharp, state, inner_h)
        return Outcome(after, own, loss, g)
