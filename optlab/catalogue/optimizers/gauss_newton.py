"""The Gauss–Newton method: Newton's method without the curvature of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers._damped_steps import Control, begin, control
from optlab.catalogue.optimizers._second_order import Solver
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class GaussNewton(ObjectiveOptimizer):
    """Newton's step with the model replaced by its linear approximation.

    The Hessian of a loss of the outputs has two parts: the curvature of the loss, seen through the
    Jacobian of the model, and the curvature of the model itself, weighted by how wrong the
    predictions are. The Gauss–Newton matrix is the first part. It has no negative eigenvalues, so
    every step is a descent step to first order, and where the predictions fit the data, it is the
    Hessian. For a model that is linear in its parameters the method is Newton's.

    Beside the squared error it serves any loss of this program that is convex in the outputs (the
    generalized Gauss–Newton matrix). On the digits in batches of 512, 200 gradients and their
    equivalents lower the loss of softmax regression, the multilayer perceptron, the CNN and
    recurrent networks below that of momentum, and that of the deep linear network, the autoencoder and the transformer,
    where a step costs many products, less. The matrix is the Fisher matrix of the natural gradient, with the
    curvature of weight decay, which the natural gradient leaves out.
    """

    name: ClassVar[str] = "gauss_newton"
    label: ClassVar[str] = "Gauss–Newton"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 212
    rule: ClassVar[tuple[str, ...]] = (
        r"G = \frac{1}{m} \sum_{i=1}^{m} J_i^{\top} S_i J_i + W",
        r"\theta \leftarrow \theta - \epsilon\, (G + \lambda I)^{-1} g",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "G": "Gauss–Newton matrix on the same batch",
        "J_i": "Jacobian of the outputs for example i by the parameters",
        "S_i": "Hessian of the loss of example i by the outputs; 2I for the squared error",
        "W": "Hessian of the weight-decay terms",
        "m": "number of examples in the batch",
    }
    source: ClassVar[str] = (
        "J. Nocedal, S. Wright, Numerical Optimization, section 10.3; N. Schraudolph, Fast curvature"
        " matrix-vector products (2002); not in the notes."
    )
    differences: ClassVar[str] = (
        "torch.optim has no Gauss–Newton method. The textbook form for least squares has no damping"
        " (λ = 0) and searches along its step; here the damping adapts, too (control)."
    )
    needs_predictions: ClassVar[bool] = True

    lr: float = second_order.rate("Share of the Gauss–Newton step; 1 is the full step.")
    damping: float = second_order.damping(
        1e-4,
        "Added to every eigenvalue of the Gauss–Newton matrix; bounds the step in directions that"
        " hardly change the outputs.",
        "A network has many such directions, and along them the quadratic model is valid only for"
        " short steps; with more of it softmax regression learns more slowly.",
    )
    solver: Solver = second_order.solver(
        "uses conjugate gradients on products with the Gauss–Newton matrix"
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
            theta, objective, state, h, objective.gauss_newton, objective.gauss_newton_product
        )
