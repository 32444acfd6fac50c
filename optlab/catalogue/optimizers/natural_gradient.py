"""Natural gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers._damped_steps import Control, begin, control
from optlab.catalogue.optimizers._second_order import Solver
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class NaturalGradient(ObjectiveOptimizer):
    """Steepest descent with distances measured by the change of the predictions.

    The Fisher matrix F is that of the model's own predictions: the expectation is over targets
    drawn from them, computed exactly, and not over the targets of the data (which would give the
    “empirical Fisher”, a different matrix). F has no negative eigenvalues, so every step is a
    descent step to first order. For the losses of this program it is also the generalized
    Gauss–Newton matrix; for a linear model it is the Hessian, and the method is Newton's. Weight
    decay is part of the gradient only.

    For many parameters the system is solved by conjugate gradients on products with F, with
    memory O(P). Large networks are trained with control: damping that adapts, and steps that are
    shortened or refused where the objective does not fall. A step then fits its batch, so larger
    batches suit it: on the digits in batches of 512, 250 gradients and their equivalents lower the
    loss of a multilayer perceptron or an LSTM below that of momentum, and that of the small
    transformer or the autoencoder less.
    """

    name: ClassVar[str] = "natural_gradient"
    label: ClassVar[str] = "Natural gradient"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 220
    rule: ClassVar[tuple[str, ...]] = (
        r"s(x, y) = \nabla_\theta \log p(y \mid x;\theta)",
        r"F = \frac{1}{m} \sum_{i=1}^{m} \mathbb{E}_{y \sim p(y \mid x_i;\theta)} \left[ s(x_i, "
        r"y)\, s(x_i, y)^{\top} \right]",
        r"\theta \leftarrow \theta - \epsilon\, (F + \lambda I)^{-1} g",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "F": "Fisher matrix of the predictions on the batch",
        "m": "number of examples in the batch",
        "p": "distribution that the model predicts",
        "s": "score, the gradient of the log-likelihood of one example",
    }
    source: ClassVar[str] = (
        "Notes, second-order approximations; S. Amari, Natural gradient works efficiently in"
        " learning (1998); J. Martens, New insights and perspectives on "
        "the natural gradient method (2020)."
    )
    differences: ClassVar[str] = (
        "Libraries often approximate F by blocks (K-FAC) or replace it by the empirical Fisher"
        " matrix; this rule uses the exact matrix of the batch."
    )
    needs_predictions: ClassVar[bool] = True

    lr: float = second_order.rate("Share of the natural-gradient step; 1 is the full step.")
    damping: float = second_order.damping(
        1e-3,
        "Added to every eigenvalue of the Fisher matrix; bounds the step in directions that hardly"
        " change the predictions.",
        "A network has many such directions, and along them the quadratic model is valid only for"
        " short steps.",
    )
    solver: Solver = second_order.solver(
        "uses conjugate gradients on products with the Fisher matrix"
    )
    iterations: int = second_order.iterations()
    tolerance: float = second_order.tolerance()
    control: Control = control()

    def refusal(self, parameters: int) -> str:
        return second_order.refusal(self.solver, parameters)

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        return begin(theta, h)

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return second_order.damped_step(
            theta, objective, state, h, objective.fisher, objective.fisher_product
        )
