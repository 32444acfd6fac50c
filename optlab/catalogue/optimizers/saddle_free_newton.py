"""Saddle-free Newton: the absolute values of the eigenvalues of the Hessian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers._damped_steps import (
    Control,
    begin,
    control,
    controlled,
    controlled_step,
)
from optlab.catalogue.optimizers._second_order import Solver
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import integer
from optlab.numerics import symmetric
from optlab.numerics.lanczos import lanczos

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class SaddleFreeNewton(ObjectiveOptimizer):
    """Newton's step with every eigenvalue of the Hessian replaced by its absolute value.

    Along directions of positive curvature the step is that of Newton's method; along those of
    negative curvature it has the same length and the opposite sign, so that a saddle point repels,
    where it attracts Newton's method. Every step is a descent step to first order. If all
    eigenvalues are positive the two methods agree.

    For many parameters |H| is approximated in a Krylov space that Lanczos builds from the gradient:
    g, Hg, H²g, …. The step is Vᵀ(|VHVᵀ| + λI)⁻¹Vg with orthonormal rows V. The gradient lies in
    that space, so no part of it is lost. Large networks are trained with control: damping that
    adapts, and steps that are shortened or refused where the objective does not fall.
    """

    name: ClassVar[str] = "saddle_free_newton"
    label: ClassVar[str] = "Saddle-free Newton"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 210
    rule: ClassVar[tuple[str, ...]] = (
        r"H = Q\, \mathrm{diag}(\mu)\, Q^{\top},\quad |H| = Q\, \mathrm{diag}(|\mu|)\, Q^{\top}",
        r"\theta \leftarrow \theta - \epsilon\, (|H| + \lambda I)^{-1} g",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "H": "its Hessian on the same batch",
        "μ": "eigenvalues of H",
        "Q": "eigenvectors of H",
    }
    source: ClassVar[str] = (
        "Notes, saddle points; Y. Dauphin et al., Identifying and attacking the saddle point"
        " problem in high-dimensional non-convex optimization (2014), "
        "Algorithm 1."
    )
    differences: ClassVar[str] = (
        "The paper adds the last step to its Krylov basis and searches for the damping at every"
        " step; this rule uses the Krylov space of the gradient, and Levenberg–Marquardt control."
    )

    lr: float = second_order.rate("Share of the saddle-free Newton step; 1 is the full step.")
    damping: float = second_order.damping(
        1e-3,
        "Added to the absolute value of every eigenvalue; bounds the step where the curvature is"
        " near zero.",
        "An eigenvalue passes through zero when it changes sign, and an undamped step would be"
        " unbounded there.",
    )
    solver: Solver = second_order.solver("uses Hessian products in a Krylov space")
    krylov: int = integer(
        10,
        "Krylov dimension",
        symbol="k",
        ge=1,
        le=1000,
        slider=(2, 100),
        help="Dimension of the Krylov space, for many parameters: the number of Hessian products"
        " per step. Each costs about two gradients and the memory of one vector of P numbers.",
        why="The largest eigenvalues of both signs converge first, and the quadratic model is valid"
        " for short steps only.",
    )
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
        evaluated = objective.gradient(theta)
        g = evaluated[1]
        quiet = [""] * len(theta)
        if second_order.builds_matrix(h, theta):
            matrix = objective.hessian(theta)
            product = second_order.matrix_product(matrix)

            def solve(damping: Any, g: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
                return symmetric.solve(matrix, g, damping, absolute=True).x, quiet
        else:
            product = objective.hessian_product(theta)
            space = lanczos(product, g, h.krylov)

            def solve(damping: Any, g: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
                inside = second_order.coefficients(space.basis, g)
                solution = symmetric.solve(space.matrix, inside, damping, absolute=True).x
                return (solution.unsqueeze(1) @ space.basis).squeeze(1), quiet

        if controlled(h, theta):
            return controlled_step(theta, objective, state, h, evaluated, solve, product)
        return second_order.outcome(theta, h, evaluated, solve(h.damping, g)[0])
