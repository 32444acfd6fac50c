"""Sophia-G: Sophia with the curvature of targets that the model itself predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _sophia as sophia
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class SophiaG(ObjectiveOptimizer):
    """Momentum divided by the Gauss–Newton curvature along each axis; no value moves more than ε.

    The diagonal of the Gauss–Newton matrix is estimated every k steps from one gradient: that of
    the loss for targets that are drawn from the model's own predictions (Gauss–Newton–Bartlett).
    The square of this gradient times the number of examples has the diagonal as its mean. It is
    never negative, unlike Hutchinson's estimate, and costs one gradient more every k steps; with
    k = 10 a step costs 1.1 on average.

    Nothing adapts the rate. The default is that of language models; on the digits, where most steps
    are clipped to it, softmax regression, the CNN, the recurrent network and the autoencoder learn
    more slowly with it than with momentum; softmax regression and the CNN faster with 0.01.
    """

    name: ClassVar[str] = "sophia_g"
    label: ClassVar[str] = "Sophia-G"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 236
    rule: ClassVar[tuple[str, ...]] = (
        r"m \leftarrow \rho_1 m + (1 - \rho_1)\, g",
        r"h \leftarrow \rho_2 h + (1 - \rho_2)\, B\, \hat{g} \odot \hat{g} \quad \mathrm{every}\ k"
        r"\ \mathrm{steps}",
        r"\theta \leftarrow (1 - \epsilon \lambda)\, \theta - \epsilon\, \mathrm{clip}\left("
        r"\frac{m}{\max(\gamma h, \delta)},\ 1\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "m": "average of gradients, initially 0",
        "ĝ": "gradient of the loss for targets drawn from the predictions, without weight decay",
        "B": "number of examples in the batch",
        "h": "average of the estimates of the diagonal, initially 0",
    }
    traced: ClassVar[tuple[str, ...]] = ("state.m", "state.h", "after")
    fixed: ClassVar[tuple[str, ...]] = ("period",)
    source: ClassVar[str] = (
        "H. Liu et al., Sophia: A Scalable Stochastic Second-order Optimizer (2024), algorithm 3"
        " with the Gauss–Newton–Bartlett estimator (algorithm 2); not in the notes."
    )
    differences: ClassVar[str] = (
        "Sophia with Hutchinson's estimator of the Hessian is a rule of its own. Targets are drawn"
        " for all examples of the batch, where the authors' code takes a part of it."
    )
    needs_predictions: ClassVar[bool] = True
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = sophia.lr()
    beta1: float = sophia.beta1()
    beta2: float = sophia.beta2()
    gamma: float = sophia.gamma(0.05, "The value of the authors for this estimator.")
    eps: float = sophia.eps()
    weight_decay: float = sophia.weight_decay()
    period: int = sophia.period()

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return sophia.start(theta)

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        def estimate() -> torch.Tensor:
            g = objective.sampled_gradient(theta, "sophia_g")
            return objective.examples * g * g

        return sophia.step(theta, objective, state, h, estimate)
