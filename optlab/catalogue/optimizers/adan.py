"""Adan: Nesterov momentum and adaptive rates without a second evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Adan(Optimizer):
    """Adaptive rates with Nesterov momentum that is computed from differences of gradients.

    Nesterov momentum evaluates the gradient ahead of the parameters. Adan reformulates this with
    the difference of successive gradients, which it averages on its own; the second moment is that
    of the gradient extrapolated by the same difference.
    """

    name: ClassVar[str] = "adan"
    label: ClassVar[str] = "Adan"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 80
    rule: ClassVar[tuple[str, ...]] = (
        r"d = g - p,\quad p \leftarrow g",
        r"s \leftarrow \rho_1 s + (1 - \rho_1)\, g",
        r"v \leftarrow \rho_2 v + (1 - \rho_2)\, d",
        r"r \leftarrow \rho_3 r + (1 - \rho_3)\, (g + \rho_2 d) \odot (g + \rho_2 d)",
        r"\hat{s} = \frac{s}{1 - \rho_1^t},\quad \hat{v} = \frac{v}{1 - \rho_2^t},\quad \hat{r} ="
        r" \frac{r}{1 - \rho_3^t}",
        r"\theta \leftarrow \frac{1}{1 + \epsilon \lambda} \left(\theta - \epsilon\, \frac{\hat{s} +"
        r" \rho_2 \hat{v}}{\sqrt{\hat{r}} + \delta}\right)",
    )
    traced: ClassVar[tuple[str, ...]] = (
        "d",
        "state.p",
        "s",
        "v",
        "r",
        "s_hat",
        "v_hat",
        "r_hat",
        "after",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "p": "gradient of the step before",
        "d": "difference of successive gradients, 0 in the first step",
        "s": "average of gradients, initially 0",
        "v": "average of differences, initially 0",
        "r": "second moment of the extrapolated gradient, initially 0",
        "t": "step number, starting from 1",
    }
    source: ClassVar[str] = (
        "X. Xie et al., Adan: Adaptive Nesterov Momentum Algorithm (2022), algorithm 1, with the"
        " corrections of bias of the authors' code; not in the notes."
    )
    differences: ClassVar[str] = (
        "torch has no Adan. The decays ρ are shares that are kept, as in the authors' code; the"
        " paper's β are 1 − ρ. Neither the restart of the paper nor clipping is part of the rule:"
        " clipping has a section of its own."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2", "beta3")}

    lr: float = shared.learning_rate(
        0.001,
        help="Approximate length of the step of each parameter.",
        why="The default of the authors' code; Adan tolerates five to ten times the rate of Adam.",
    )
    beta1: float = shared.first_moment_decay(0.98, why="The default of the authors.")
    beta2: float = number(
        0.92,
        "Decay of the differences",
        symbol="ρ₂",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.999),
        help="Share of the running mean of differences that a step keeps, and the weight of the"
        " difference in the step.",
        why="The default of the authors.",
    )
    beta3: float = shared.second_moment_decay(
        0.99,
        symbol="ρ₃",
        help="Share of the running mean of squares of extrapolated gradients that a step keeps.",
        why="The default of the authors.",
    )
    eps: float = shared.small_constant(
        1e-8,
        help="Keeps the division finite where the gradient is zero; added outside the square root.",
    )
    weight_decay: float = shared.weight_decay(
        0.0,
        help="Each step divides every parameter by 1 plus this value times the learning rate.",
        why="Set the L2 penalty of the loss to zero, or both act. The authors use 0.02.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {name: torch.zeros_like(theta) for name in ("s", "v", "r", "p")}

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        d = g - state["p"] if h.step > 1 else torch.zeros_like(g)
        s = h.beta1 * state["s"] + (1.0 - h.beta1) * g
        v = h.beta2 * state["v"] + (1.0 - h.beta2) * d
        ahead = g + h.beta2 * d
        r = h.beta3 * state["r"] + (1.0 - h.beta3) * ahead * ahead
        s_hat = s / (1.0 - h.beta1**h.step)
        v_hat = v / (1.0 - h.beta2**h.step)
        r_hat = r / (1.0 - h.beta3**h.step)
        moved = theta - h.lr * (s_hat + h.beta2 * v_hat) / (r_hat.sqrt() + h.eps)
        return moved / (1.0 + h.lr * h.weight_decay), {"s": s, "v": v, "r": r, "p": g}
