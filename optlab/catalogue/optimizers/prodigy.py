"""Prodigy: Adam that finds its learning rate from the distance it has traveled."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import flag, number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Prodigy(Optimizer):
    """Adam whose learning rate is an estimate of the distance to the solution.

    The best rate of an adaptive rule is proportional to the distance D between start and solution.
    Gradients and traveled way give a lower bound d of it: if the gradients keep pointing away from
    the start, D must be larger. The bound starts tiny and grows within the first steps to the order
    of D. The learning rate ε is a factor of d and stays 1; a schedule multiplies it as usual.
    """

    name: ClassVar[str] = "prodigy"
    label: ClassVar[str] = "Prodigy"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 86
    rule: ClassVar[tuple[str, ...]] = (
        r"s \leftarrow \rho_1 s + (1 - \rho_1)\, d\, g,\quad r \leftarrow \rho_2 r + (1 - \rho_2)\,"
        r" d^2\, g \odot g",
        r"n \leftarrow \rho_3 n + \frac{d}{d_0} \epsilon d\, g^\top (\theta_0 - \theta),\quad q"
        r" \leftarrow \rho_3 q + \frac{d}{d_0} \epsilon d\, g",
        r"\theta \leftarrow (1 - \epsilon d \lambda)\, \theta - \epsilon d\, \frac{s}{\sqrt{r} +"
        r" d' \delta}",
        r"d' = \max\left(d,\ c\, \frac{n}{\|q\|_1}\right),\quad d \leftarrow d',\quad \rho_3 ="
        r" \sqrt{\rho_2}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters, and θ₀ those of the start",
        "g": "gradient of the objective on the batch",
        "s": "first moment, initially 0",
        "r": "second moment, initially 0",
        "d": "estimate of the distance, initially d₀; d′ is that after the step",
        "n": "numerator of the estimate, initially 0",
        "q": "weighted sum of gradients, initially 0",
    }
    elementwise: ClassVar[bool] = False
    applied_to: ClassVar[Literal["tensor", "group", ""]] = "group"
    source: ClassVar[str] = (
        "K. Mishchenko, A. Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner"
        " (2024), algorithm 4, as in the authors' package prodigyopt; not in the notes."
    )
    differences: ClassVar[str] = (
        "Same as prodigyopt with decoupled weight decay and an unlimited growth of d. In"
        " optlab.optim every parameter group has a d of its own; the package has one for all."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = shared.learning_rate(
        1.0,
        slider=(1e-2, 10.0),
        help="Factor of the estimated distance; a schedule acts on it.",
        why="The rule finds the scale itself; the authors advise to keep 1.",
    )
    beta1: float = shared.first_moment_decay(0.9)
    beta2: float = shared.second_moment_decay(0.999)
    eps: float = shared.small_constant(
        1e-8, help="Keeps the division finite where the gradient is zero; multiplied by d."
    )
    weight_decay: float = shared.weight_decay(
        0.0,
        help="Each step shrinks every parameter by this share times ε d.",
        why="Set the L2 penalty of the loss to zero, or both act.",
    )
    d0: float = number(
        1e-6,
        "First distance",
        symbol="d₀",
        gt=0.0,
        log=True,
        slider=(1e-8, 1e-2),
        help="First estimate of the distance, smaller than the true one.",
        why="The default of the authors; it grows by orders of magnitude in a few steps.",
    )
    d_factor: float = number(
        1.0,
        "Factor of the distance",
        symbol="c",
        gt=0.0,
        log=True,
        slider=(0.1, 10.0),
        help="Multiplies the estimate; the way to shorten or lengthen all steps.",
        why="The default of the authors.",
    )
    correct_bias: bool = flag(
        False,
        "Correct the bias",
        help="Multiply the rate by √(1 − ρ₂ᵗ) / (1 − ρ₁ᵗ), as in Adam; a warm-up of the estimate.",
    )
    safe_warmup: bool = flag(
        False,
        "Safeguard a warm-up",
        help="Leave the learning rate out of q, so that a warm-up does not inflate the estimate.",
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        first = torch.zeros_like(theta[:, :1]) + h.d0
        state = {name: torch.zeros_like(theta) for name in ("s", "r", "q")}
        return {
            **state,
            "start": theta.clone(),
            "d": first,
            "numerator": torch.zeros_like(first),
        }

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        d, beta3 = state["d"], h.beta2**0.5
        rate = d * h.lr
        if h.correct_bias:
            rate = rate * (1.0 - h.beta2**h.step) ** 0.5 / (1.0 - h.beta1**h.step)
        weight = d / h.d0
        s = h.beta1 * state["s"] + (1.0 - h.beta1) * d * g
        r = h.beta2 * state["r"] + (1.0 - h.beta2) * d * d * g * g
        way = (g * (state["start"] - theta)).sum(dim=1, keepdim=True)
        numerator = beta3 * state["numerator"] + weight * rate * way
        q = beta3 * state["q"] + weight * (d if h.safe_warmup else rate) * g
        size = q.abs().sum(dim=1, keepdim=True)
        # Before the first gradient that is not zero nothing is known, and nothing moves.
        known = (size > 0.0) & (rate > 0.0)
        grown = torch.where(known, torch.maximum(d, h.d_factor * numerator / size), d)
        after = (1.0 - h.weight_decay * rate) * theta - rate * s / (r.sqrt() + grown * h.eps)
        return torch.where(known, after, theta), {
            "s": s,
            "r": r,
            "q": q,
            "start": state["start"],
            "d": grown,
            "numerator": torch.where(known, numerator, state["numerator"]),
        }
