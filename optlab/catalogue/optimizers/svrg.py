"""SVRG: stochastic gradients whose noise is taken out with a full gradient now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import integer
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class SVRG(ObjectiveOptimizer):
    """Gradient descent on minibatches, corrected by a full gradient at a point nearby.

    The gradient of a batch at a fixed point differs from the full gradient there by noise that is
    known. Nearby the noise is almost the same, so it can be subtracted. For a strongly convex
    problem the iterates then converge at a constant rate, where SGD needs a falling one. Every step
    costs two gradients, and every k steps a pass over the training set; the number of gradients is
    recorded. On networks the correction gets old within a few steps.
    """

    name: ClassVar[str] = "svrg"
    label: ClassVar[str] = "SVRG"
    group: ClassVar[str] = "Basic algorithms"
    sort_order: ClassVar[int] = 36
    rule: ClassVar[tuple[str, ...]] = (
        r"\tilde{\theta} \leftarrow \theta,\quad \mu \leftarrow \nabla \bar{J}(\theta) \quad"
        r" \mathrm{every}\ k\ \mathrm{steps}",
        r"\theta \leftarrow \theta - \epsilon \left(g - \nabla J(\tilde{\theta}) + \mu\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective J on the batch",
        "θ̃": "parameters of the last full gradient",
        "μ": "full gradient there: that of the objective J̄ on all training examples",
    }
    along_gradient: ClassVar[bool] = True
    needs_full_gradient: ClassVar[bool] = True
    fixed: ClassVar[tuple[str, ...]] = ("period",)
    source: ClassVar[str] = (
        "R. Johnson, T. Zhang, Accelerating Stochastic Gradient Descent using Predictive Variance"
        " Reduction (2013), option I; not in the notes."
    )
    differences: ClassVar[str] = (
        "torch has no SVRG. Where examples stream, the full gradient is that of 10,000 examples that"
        " training does not use. SAGA, which keeps a gradient for every example, is not offered."
    )

    lr: float = shared.learning_rate(
        0.1, slider=(1e-5, 10.0), help="Factor of the corrected gradient.", why="As for SGD."
    )
    period: int = integer(
        100,
        "Steps per full gradient",
        symbol="k",
        unit="steps",
        ge=1,
        log=True,
        slider=(1, 10_000),
        help="A full gradient is computed in the first of every k steps.",
        why="The authors advise two to five passes over the data, which is 50 to 150 steps of the"
        " digits in batches of 64.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"anchor": theta.clone(), "mean": torch.zeros_like(theta)}

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        return 2.0

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        loss, g = objective.gradient(theta)
        if (h.step - 1) % h.period == 0:
            mean = objective.full_gradient(theta)
            # At the anchor itself the two gradients of the batch cancel.
            return Outcome(theta - h.lr * mean, {"anchor": theta, "mean": mean}, loss, g)
        there = objective.gradient(state["anchor"])[1]
        return Outcome(theta - h.lr * (g - there + state["mean"]), dict(state), loss, g)
