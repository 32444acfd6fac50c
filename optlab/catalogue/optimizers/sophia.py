"""Sophia: momentum divided by an estimate of the Hessian's diagonal, and clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import choice, integer, number
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
    fixed: ClassVar[tuple[str, ...]] = ("period",)
    source: ClassVar[str] = (
        "H. Liu et al., Sophia: A Scalable Stochastic Second-order Optimizer (2024), algorithm 3"
        " with the estimator of Hutchinson (algorithm 1); not in the notes."
    )
    differences: ClassVar[str] = (
        "This is Sophia-H. Sophia-G estimates the diagonal from gradients on labels drawn from the"
        " model, which only a closure for them could give. Some implementations write the step as"
        " ε′ clip(m / max(h, δ′), γ) with ε = ε′ γ and δ = γ δ′."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = shared.learning_rate(
        0.001,
        help="Length of the step of each parameter whose step is clipped.",
        why="The authors advise 0.8 times the rate of AdamW, whose default this is.",
    )
    beta1: float = shared.first_moment_decay(0.96, why="The default of the authors.")
    beta2: float = shared.second_moment_decay(
        0.99,
        help="Share of the running mean of the diagonal that an estimate keeps.",
        why="The default of the authors.",
    )
    gamma: float = number(
        0.01,
        "Factor of the curvature",
        symbol="γ",
        gt=0.0,
        log=True,
        slider=(1e-4, 1.0),
        help="Multiplies the curvature: smaller values clip more steps.",
        why="The value of the authors for Hutchinson's estimator; a good one leaves 10 to 50% of the"
        " steps unclipped.",
    )
    eps: float = shared.small_constant(
        1e-12,
        slider=(1e-15, 1e-6),
        help="Smallest divisor; where γh is below, the step is clipped.",
        why="The default of the authors.",
    )
    weight_decay: float = shared.weight_decay(
        0.0, why="The authors use 0.2. Set the L2 penalty of the loss to zero, or both act."
    )
    period: int = integer(
        10,
        "Steps per estimate",
        symbol="k",
        unit="steps",
        ge=1,
        log=True,
        slider=(1, 100),
        help="The diagonal is estimated in the first of every k steps.",
        why="The default of the authors: the curvature changes slowly.",
    )
    draws: Literal["normal", "signs"] = choice(
        "normal",
        "Random vectors",
        help="Distribution of u: normal as in the paper, or random signs, whose estimate varies"
        " less and is exact for a diagonal Hessian.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"m": torch.zeros_like(theta), "h": torch.zeros_like(theta)}

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        loss, g = objective.gradient(theta)
        m = h.beta1 * state["m"] + (1.0 - h.beta1) * g
        curvature = state["h"]
        if (h.step - 1) % h.period == 0:
            u = _drawn(theta, objective, h.draws)
            estimate = u * objective.hessian_product(theta)(u)
            curvature = h.beta2 * curvature + (1.0 - h.beta2) * estimate
        divisor = torch.maximum(
            h.gamma * curvature, torch.as_tensor(h.eps, dtype=theta.dtype, device=theta.device)
        )
        step = (m / divisor).clamp(-1.0, 1.0)
        after = (1.0 - h.lr * h.weight_decay) * theta - h.lr * step
        return Outcome(after, {"m": m, "h": curvature}, loss, g)


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
