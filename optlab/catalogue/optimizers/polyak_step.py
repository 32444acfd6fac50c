"""The Polyak step: a rate from the distance of the loss to its minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class PolyakStep(ObjectiveOptimizer):
    """Gradient descent whose rate is the excess of the loss over its minimum divided by ‖g‖².

    For a convex function this is the step that brings the parameters closest to the solution, as
    far as value and gradient can tell. It needs the smallest value of the objective, which is 0
    where a model can fit every batch exactly. There the rule needs no tuning, and its rate rises
    and falls by itself.
    """

    name: ClassVar[str] = "polyak_step"
    label: ClassVar[str] = "Polyak step"
    group: ClassVar[str] = "Step by the value"
    sort_order: ClassVar[int] = 38
    rule: ClassVar[tuple[str, ...]] = (
        r"\eta = \min\left(\frac{J(\theta) - J^*}{c\, \|g\|^2},\ \epsilon\right)",
        r"\theta \leftarrow \theta - \eta\, g",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "J": "value of the objective on the same batch, with weight decay",
        "η": "rate of this step",
    }
    along_gradient: ClassVar[bool] = True
    source: ClassVar[str] = (
        "B. Polyak, Introduction to Optimization (1987); N. Loizou et al., Stochastic Polyak"
        " Step-size (2021), SPSmax; not in the notes."
    )
    differences: ClassVar[str] = (
        "Same as optax.polyak_sgd with scaling c and max_learning_rate ε/c. torch has no Polyak step. A value below J* gives"
        " no step. The chosen rate is not the series “rate”, which shows ε."
    )

    lr: float = shared.learning_rate(
        1.0,
        slider=(1e-3, 100.0),
        help="Largest rate; a schedule acts on it.",
        why="Keeps the rate bounded where the gradient of a batch happens to be tiny.",
    )
    factor: float = number(
        1.0,
        "Factor of the squared norm",
        symbol="c",
        gt=0.0,
        log=True,
        slider=(0.1, 10.0),
        help="Divides the step: 1 is that of Polyak, 0.5 that of Loizou et al. for non-convex"
        " problems, larger values are more careful.",
        why="Polyak's step.",
    )
    minimum: float = number(
        0.0,
        "Smallest value",
        symbol="J*",
        slider=(-1.0, 1.0),
        help="Smallest value of the objective, or a bound below it. If it is too small, the steps do"
        " not fall to zero at the solution.",
        why="Losses are not negative, and models with enough parameters reach zero.",
    )

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        loss, g = objective.gradient(theta)
        excess = (loss.unsqueeze(1) - h.minimum).clamp(min=0.0)
        squared = (g * g).sum(dim=1, keepdim=True)
        largest = theta.new_zeros(()) + h.lr
        rate = torch.minimum(excess / (h.factor * squared), largest)
        # Where the gradient is zero there is nothing to follow, whatever the value says.
        rate = torch.where(squared == 0.0, 0.0, rate)
        return Outcome(theta - rate * g, {}, loss, g)
