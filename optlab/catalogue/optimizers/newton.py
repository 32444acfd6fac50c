"""Newton's method."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers._second_order import Solver
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class Newton(ObjectiveOptimizer):
    """Jumps to the critical point of the local quadratic model.

    On a quadratic function one full step is enough, however ill-conditioned it is. Newton's method
    solves for a point where the gradient is zero and does not ask what kind of point: where the
    Hessian has negative eigenvalues it steps towards a saddle or a maximum. Nothing here hides
    that; a step that leads uphill is taken and told. Damping λ above the size of the most negative
    eigenvalue makes every step one of descent.

    For many parameters the system is solved by conjugate gradients on Hessian products, memory
    O(P). They end at the first direction of negative curvature, so there the step is the part of
    the solution found before (the gradient itself if it is the first), and this is told, too.
    """

    name: ClassVar[str] = "newton"
    label: ClassVar[str] = "Newton's method"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 200
    rule: ClassVar[tuple[str, ...]] = (
        r"g = \nabla J(\theta),\quad H = \nabla^2 J(\theta)",
        r"\theta \leftarrow \theta - \epsilon\, (H + \lambda I)^{-1} g",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "H": "its Hessian on the same batch",
    }
    source: ClassVar[str] = (
        "Notes, saddle points and second-order methods; Deep Learning, section 8.6.1; J. Nocedal, S. Wright, Numerical Optimization, Algorithm 7.1 "
        "(conjugate gradients)."
    )
    differences: ClassVar[str] = (
        "torch.optim has none. Directions in which H + λI is singular to rounding are left out (least-norm solution) where a plain solve would fail."
    )

    lr: float = second_order.rate(
        "Share of the Newton step that is taken; 1 jumps to the critical point of the quadratic model."
    )
    damping: float = second_order.damping(
        1e-4,
        "Added to every eigenvalue of the Hessian: shortens the step where curvature is small.",
        "Small beside the curvature that matters, and enough for directions that have none (softmax regression).",
    )
    solver: Solver = second_order.solver("takes conjugate gradients on Hessian products")
    iterations: int = second_order.iterations()
    tolerance: float = second_order.tolerance()

    def refusal(self, parameters: int) -> str:
        return second_order.refusal(self.solver, parameters)

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        asked = objective.gradient(theta)
        direction, ended = second_order.damped_solve(
            h, theta, asked[1], objective.hessian, objective.hessian_product
        )
        uphill = second_order.no_descent(asked[1], direction)
        return second_order.outcome(
            theta,
            h,
            asked,
            direction,
            [first or second for first, second in zip(ended, uphill, strict=True)],
        )
