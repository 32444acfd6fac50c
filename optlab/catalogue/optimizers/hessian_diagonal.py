"""Preconditioning by the Hessian's diagonal, alone or in front of a first-order rule."""

from __future__ import annotations

from typing import ClassVar, Literal

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._inner import inner_rule
from optlab.catalogue.optimizers._second_order import Solver
from optlab.catalogue.optimizers.base import (
    Objective,
    ObjectiveOptimizer,
    Outcome,
    State,
)
from optlab.core.fields import choice, integer, number
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.lazy import torch

_DIAGONAL = "hessian_diagonal"
"""Entry of the state that does not belong to the inner rule."""


class HessianDiagonal(ObjectiveOptimizer):
    """A first-order rule on the gradient divided by the curvature along each axis.

    If the eigenvectors of the Hessian are the coordinate axes, this removes ill-conditioning
    entirely at the cost of a division; otherwise it still corrects a bad choice of units. Absolute
    values of the curvature are used, so that negative curvature does not turn a step uphill.

    For many parameters the diagonal is estimated: with random signs z, the mean of z ⊙ Hz is an
    unbiased estimate (Hutchinson), and each draw costs one Hessian product. The estimate can be
    averaged over steps. The first-order rule keeps its own state and its default hyperparameters
    except for ε and α, which are fields of this rule.
    """

    name: ClassVar[str] = "hessian_diagonal"
    label: ClassVar[str] = "Preconditioning by the Hessian's diagonal"
    short: ClassVar[str] = "Hessian diagonal"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 230
    rule: ClassVar[tuple[str, ...]] = (
        r"d = \mathrm{diag}(H) \quad \mathrm{or} \quad d = \frac{1}{n} \sum_{j=1}^{n} z_j \odot H "
        r"z_j",
        r"D \leftarrow \rho D + (1 - \rho)\, d,\quad \hat{D} = \frac{D}{1 - \rho^t}",
        r"\tilde{g} = \frac{g}{|\hat{D}| + \lambda}",
        r"\theta \leftarrow \mathrm{rule}(\theta, \tilde{g})",
    )
    traced: ClassVar[tuple[str, ...]] = (
        "diagonal",
        "",
        "average",
        "corrected",
        "preconditioned",
        "after",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient at the point where the first-order rule evaluates it",
        "H": "Hessian at that point, on the same batch",
        "z": "random signs, drawn again at every step",
        "D": "running average of the diagonal, initially 0",
        "t": "step number, starting from 1",
    }
    source: ClassVar[str] = (
        "Notes, preconditioning; S. Becker, Y. LeCun, Improving the convergence of"
        " back-propagation learning with second-order methods (1988); "
        "C. Bekas et al., An estimator for the diagonal of a matrix (2007)."
    )
    differences: ClassVar[str] = (
        "AdaHessian averages squares of one draw, smooths them over blocks and uses the first"
        " moment of Adam; this rule averages the diagonal itself."
    )

    lr: float = shared.learning_rate(
        0.1,
        slider=(1e-4, 2.0),
        help="Learning rate of the first-order rule, which acts on the preconditioned gradient.",
        why="Coupled parameters share curvature, so a full step along all axes at once overshoots;"
        " a tenth rarely does.",
    )
    before: Literal[
        "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "rmsprop_nesterov", "adadelta", "adam"
    ] = choice(
        "sgd",
        "First-order rule",
        help="Rule that receives the preconditioned gradient; sgd for preconditioning alone.",
    )
    momentum: float = shared.momentum(
        0.9,
        only_if=("before", ("momentum", "nesterov", "rmsprop_nesterov")),
        help="Share of the velocity that a step keeps, for first-order rules with a velocity.",
    )
    damping: float = second_order.damping(
        1e-2,
        "Added to the absolute value of every curvature; bounds the step where the curvature is"
        " near zero.",
        "An estimate from few draws is close to zero now and then.",
    )
    solver: Solver = second_order.solver("estimates the diagonal by Hessian products")
    draws: int = integer(
        4,
        "Draws",
        symbol="n",
        ge=1,
        le=1000,
        log=True,
        slider=(1, 100),
        help="Random vectors per estimate of the diagonal; each costs about two gradients. The"
        " error falls as 1/√n.",
        why="A few draws, averaged over steps, are the best value for their cost.",
    )
    rho: float = number(
        0.0,
        "Memory of the diagonal",
        symbol="ρ",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.999),
        help="Decay rate of the running average of the diagonal: 0 uses the current one alone;"
        " 0.99 averages the noise of draws and batches over about a hundred steps.",
        why="Without averaging, the method uses the diagonal of the current step.",
    )

    def refusal(self, parameters: int) -> str:
        return second_order.refusal(self.solver, parameters)

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        inner, inner_h = inner_rule(h.before, h)
        return {**inner.begin(theta, inner_h), _DIAGONAL: torch.zeros_like(theta)}

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        inner, inner_h = inner_rule(h.before, h)
        own = {name: value for name, value in state.items() if name != _DIAGONAL}
        loss, gradient = objective.gradient(theta)
        point = inner.point(theta, own, inner_h)
        g = gradient if point is theta else objective.gradient(point)[1]
        diagonal = (
            _exact(point, objective)
            if second_order.builds_matrix(h, theta)
            else _estimate(point, objective, h)
        )
        average = h.rho * state[_DIAGONAL] + (1.0 - h.rho) * diagonal
        corrected = average / (1.0 - h.rho**h.step)
        preconditioned = g / (corrected.abs() + h.damping)
        after, own = inner.update(theta, preconditioned, own, inner_h)
        return Outcome(after, {**own, _DIAGONAL: average}, loss, gradient)


def _exact(theta: torch.Tensor, objective: Objective) -> torch.Tensor:
    return objective.hessian(theta).diagonal(dim1=1, dim2=2)


def _estimate(theta: torch.Tensor, objective: Objective, h: Hyperparameters) -> torch.Tensor:
    """Return Hutchinson's estimate ``[R, P]``; every run has its own draws and number of draws."""
    runs, parameters = theta.shape
    product = objective.hessian_product(theta)
    sources = [objective.generator(run, "hessian_diagonal") for run in range(runs)]
    counts = torch.as_tensor(h.draws, dtype=theta.dtype, device=theta.device).reshape(-1, 1)
    total = torch.zeros_like(theta)
    for index in range(int(counts.max())):
        bits = torch.stack(
            [torch.randint(0, 2, (parameters,), generator=source) for source in sources]
        )
        z = bits.to(theta) * 2.0 - 1.0
        total = torch.where(
            index < counts, total + z * product(torch.where(index < counts, z, 0.0)), total
        )
    return total / counts
