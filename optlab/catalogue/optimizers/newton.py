"""Newton's method."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers._damped_steps import Control, begin, control
from optlab.catalogue.optimizers._second_order import Solver
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class Newton(ObjectiveOptimizer):
    """Steps to the critical point of the local quadratic model.

    On a quadratic function one full step is enough, however ill-conditioned it is. Newton's method
    solves for a point with zero gradient, whatever its kind: if the Hessian has negative
    eigenvalues, it steps towards a saddle point or a maximum. This rule does not hide that; it
    takes a step that leads uphill, and the run reports it. Damping λ above the magnitude of the
    most negative eigenvalue makes every step a descent step.

    For many parameters the system is solved by conjugate gradients on Hessian products, with memory
    O(P). They stop at the first direction of negative curvature, so the step is then the partial
    solution up to that point (the gradient itself if it is the first), and the run reports it.
    Large networks are trained with control: damping that adapts, and steps that are shortened or
    refused where the objective does not fall. A step then fits its batch, so larger batches suit it.
    """

    name: ClassVar[str] = "newton"
    label: ClassVar[str] = "Newton's method"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 200
    rule: ClassVar[tuple[str, ...]] = (
        r"g = \nabla J(\theta),\quad H = \nabla^2 J(\theta)",
        r"\theta \leftarrow \theta - \epsilon\, (H + \lambda I)^{-1} g",
    )
    traced: ClassVar[tuple[str, ...]] = ("g", "", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "H": "its Hessian on the same batch",
    }
    source: ClassVar[str] = (
        "Notes, saddle points and second-order methods; Deep Learning, section 8.6.1; J. Nocedal,"
        " S. Wright, Numerical Optimization, Algorithm 7.1 "
        "(conjugate gradients)."
    )
    differences: ClassVar[str] = (
        "torch.optim has no Newton's method. Directions in which H + λI is singular up to rounding"
        " are left out (least-norm solution), where a plain solve would fail."
    )

    lr: float = second_order.rate(
        "Share of the Newton step; 1 steps to the critical point of the quadratic model."
    )
    damping: float = second_order.damping(
        1e-4,
        "Added to every eigenvalue of the Hessian; shortens the step where the curvature is small.",
        "Small compared with the curvature that matters, and enough for directions without"
        " curvature (softmax regression has some).",
    )
    solver: Solver = second_order.solver("uses conjugate gradients on Hessian products")
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
            theta, objective, state, h, objective.hessian, objective.hessian_product
        )
