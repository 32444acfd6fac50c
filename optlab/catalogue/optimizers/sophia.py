"""Sophia: momentum divided by an estimate of the Hessian's diagonal, and clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _sophia as sophia
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import choice
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Sophia(ObjectiveOptimizer):
    """Momentum divided by the curvature along each axis; no value moves more than ε.

    The diagonal of the Hessian is estimated every k steps from one random vector and averaged.
    Where the curvature is large and positive, the step is that of Newton along this axis. Where it
    is small, negative or out of date, the step is clipped to the length ε, with the sign of the
    momentum. An estimate costs about three gradients, so with k = 10 a step costs 1.3 on average.
    """

    name: ClassVar[str] = "sophia"
    label: ClassVar[str] = "Sophia"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 235
    rule: ClassVar[tuple[str, ...]] = (
        r"m \leftarrow \rho_1 m + (1 - \rho_1)\, g",
        r"h \leftarrow \rho_2 h + (1 - \rho_2)\, u \odot H u \quad \mathrm{every}\ k"
        r"\ \mathrm{steps}",
        r"\theta \leftarrow (1 - \epsilon \lambda)\, \theta - \epsilon\, \mathrm{clip}\left("
        r"\frac{m}{\max(\gamma h, \delta)},\ 1\right)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "m": "average of gradients, initially 0",
        "H": "Hessian of the objective on the batch",
        "u": "random vector, drawn again for each estimate",
        "h": "average of the estimates of the diagonal, initially 0",
    }
    traced: ClassVar[tuple[str, ...]] = ("state.m", "state.h", "after")
    fixed: ClassVar[tuple[str, ...]] = ("period",)
    source: ClassVar[str] = (
        "H. Liu et al., Sophia: A Scalable Stochastic Second-order Optimizer (2024), algorithm 3"
        " with the estimator of Hutchinson (algorithm 1); not in the notes."
    )
    differences: ClassVar[str] = (
        "This is Sophia-H; Sophia-G, which estimates the diagonal from targets drawn from the model,"
        " is a rule of its own. Some implementations write the step as"
        " ε′ clip(m / max(h, δ′), γ) with ε = ε′ γ and δ = γ δ′."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = sophia.lr()
    beta1: float = sophia.beta1()
    beta2: float = sophia.beta2()
    gamma: float = sophia.gamma(
        0.01,
        "The value of the authors for Hutchinson's estimator; a good one leaves 10 to 50% of the"
        " steps unclipped.",
    )
    eps: float = sophia.eps()
    weight_decay: float = sophia.weight_decay()
    period: int = sophia.period()
    draws: Literal["normal", "signs"] = choice(
        "normal",
        "Random vectors",
        help="Distribution of u: normal as in the paper, or random signs, whose estimate varies"
        " less and is exact for a diagonal Hessian.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return sophia.start(theta)

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        def estimate() -> torch.Tensor:
            u = _drawn(theta, objective, h.draws)
            return u * objective.hessian_product(theta)(u)

        return sophia.step(theta, objective, state, h, estimate)


def _drawn(theta: torch.Tensor, objective: Objective, draws: str) -> torch.Tensor:
    """Return a random vector ``[R, P]``; every run has its own draws."""
    sources = [objective.generator(run, "sophia") for run in range(theta.shape[0])]
    size = theta.shape[1]
    if draws == "signs":
        bits = torch.stack([torch.randint(0, 2, (size,), generator=one) for one in sources])
        return bits.to(theta) * 2.0 - 1.0
    return torch.stack(
        [torch.randn(size, generator=one, dtype=torch.float64) for one in sources]
    ).to(theta)
