"""Preconditioning by the Hessian's diagonal, alone or in front of a first-order rule."""

from __future__ import annotations

from typing import ClassVar, Literal

from optlab.catalogue.optimizers import _second_order as second_order
from optlab.catalogue.optimizers._second_order import Solver
from optlab.catalogue.optimizers.base import (
    Objective,
    ObjectiveOptimizer,
    Optimizer,
    Outcome,
    State,
)
from optlab.core import registry
from optlab.core.fields import choice, integer, number
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.lazy import torch

_DIAGONAL = "hessian_diagonal"
"""Entry of the state that is not the inner rule's."""


class HessianDiagonal(ObjectiveOptimizer):
    """Each value of the gradient is divided by the curvature along its own axis, and the result is
    handed to a first-order rule.

    Where the axes of the parameters are those of the Hessian this undoes ill-conditioning entirely,
    at the price of a division; where they are not it still undoes a bad choice of units. Absolute
    values are taken, so that negative curvature does not turn a step uphill.

    For many parameters the diagonal is estimated: with signs z drawn at random, the mean of z ⊙ Hz
    is unbiased for it (Hutchinson), and each draw costs one Hessian product. The estimate can be
    averaged over steps. The rule behind it keeps its own state and its defaults, but for ε and α,
    which stand here.
    """

    name: ClassVar[str] = "hessian_diagonal"
    label: ClassVar[str] = "Preconditioning by the Hessian's diagonal"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 230
    rule: ClassVar[tuple[str, ...]] = (
        r"d = \mathrm{diag}(H) \quad \mathrm{or} \quad d = \frac{1}{n} \sum_{j=1}^{n} z_j \odot H z_j",
        r"D \leftarrow \rho D + (1 - \rho)\, d,\quad \hat{D} = \frac{D}{1 - \rho^t}",
        r"\tilde{g} = \frac{g}{|\hat{D}| + \lambda}",
        r"\theta \leftarrow \mathrm{rule}(\theta, \tilde{g})",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient where the rule wants it",
        "H": "Hessian there, on the same batch",
        "z": "random signs, fresh at every step",
        "D": "average of the diagonal over steps, 0 at first",
        "t": "number of the step, from 1",
    }
    source: ClassVar[str] = (
        "Notes, preconditioning; S. Becker, Y. LeCun, Improving the convergence of back-propagation learning with second-order methods (1988); "
        "C. Bekas et al., An estimator for the diagonal of a matrix (2007)."
    )
    differences: ClassVar[str] = (
        "AdaHessian averages squares of one draw, smooths them over blocks and has Adam's first moment; here the diagonal itself is averaged."
    )

    lr: float = number(
        0.1,
        "Learning rate",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(1e-4, 2.0),
        help="Learning rate of the rule, acting on the preconditioned gradient.",
        why="Coupled parameters share their curvature, so a full step along every axis at once overshoots; a tenth seldom does.",
    )
    before: Literal[
        "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "rmsprop_nesterov", "adadelta", "adam"
    ] = choice(
        "sgd",
        "In front of",
        help="First-order rule that the preconditioned gradient is handed to; sgd for preconditioning alone.",
    )
    momentum: float = number(
        0.9,
        "Momentum",
        symbol="α",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.999),
        help="Share of the velocity that a step keeps, for rules that have one.",
    )
    damping: float = second_order.damping(
        1e-2,
        "Added to the absolute value of every curvature: bounds the division where it is about zero.",
        "An estimate from few draws comes close to zero now and then.",
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
        help="Random vectors for one estimate of the diagonal, each about two gradients; the error falls as 1/√n.",
        why="A handful, averaged over steps, is what is worth its price.",
    )
    rho: float = number(
        0.0,
        "Memory of the diagonal",
        symbol="ρ",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.999),
        help="How long earlier diagonals are remembered: 0 takes this step's alone; 0.99 averages the noise of draws and batches over a hundred steps.",
        why="The diagonal of this very step is the plain method.",
    )

    def refusal(self, parameters: int) -> str:
        return second_order.refusal(self.solver, parameters)

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        behind, its_h = _behind(h)
        return {**behind.begin(theta, its_h), _DIAGONAL: torch.zeros_like(theta)}

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        behind, its_h = _behind(h)
        own = {name: value for name, value in state.items() if name != _DIAGONAL}
        loss, gradient = objective.gradient(theta)
        point = behind.point(theta, own, its_h)
        g = gradient if point is theta else objective.gradient(point)[1]
        here = (
            _exact(point, objective)
            if second_order.exact(h, theta)
            else _estimate(point, objective, h)
        )
        remembered = h.rho * state[_DIAGONAL] + (1.0 - h.rho) * here
        preconditioned = g / ((remembered / (1.0 - h.rho**h.step)).abs() + h.damping)
        after, own = behind.update(theta, preconditioned, own, its_h)
        return Outcome(after, {**own, _DIAGONAL: remembered}, loss, gradient)


def _behind(h: Hyperparameters) -> tuple[type[Optimizer], Hyperparameters]:
    """The first-order rule, and its hyperparameters: those that have the name of a field here, and
    defaults.
    """
    behind = registry.get(Optimizer, h.before)
    shared = {name: getattr(h, name) for name in ("lr", "momentum")}
    return behind, Hyperparameters(
        **{**behind().values(), **shared, "step": h.step, "layout": getattr(h, "layout", None)}
    )


def _exact(theta: torch.Tensor, objective: Objective) -> torch.Tensor:
    return objective.hessian(theta).diagonal(dim1=1, dim2=2)


def _estimate(theta: torch.Tensor, objective: Objective, h: Hyperparameters) -> torch.Tensor:
    """Hutchinson's estimate ``[R, P]``; every run has its own draws, and as many of them as it asks
    for.
    """
    runs, parameters = theta.shape
    product = objective.hessian_product(theta)
    sources = [objective.generator(run, "hessian_diagonal") for run in range(runs)]
    wanted = torch.as_tensor(h.draws, dtype=theta.dtype, device=theta.device).reshape(-1, 1)
    total = torch.zeros_like(theta)
    for index in range(int(wanted.max())):
        bits = torch.stack(
            [torch.randint(0, 2, (parameters,), generator=source) for source in sources]
        )
        z = bits.to(theta) * 2.0 - 1.0
        total = torch.where(index < wanted, total + z * product(z), total)
    return total / wanted
