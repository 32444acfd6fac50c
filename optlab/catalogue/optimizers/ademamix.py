"""AdEMAMix: AdamW with a second, much slower average of the gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import integer, number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class AdEMAMix(Optimizer):
    """AdamW with a fast and a slow average of the gradients.

    One average has to forget quickly to follow the present gradient, but gradients remain useful
    for tens of thousands of steps. So there are two: the fast one of Adam, and a slow one that is
    added with a factor. Both the factor and the memory of the slow one can grow from nothing over a
    warm-up, because an old average is wrong while training moves fast.
    """

    name: ClassVar[str] = "ademamix"
    label: ClassVar[str] = "AdEMAMix"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 78
    rule: ClassVar[tuple[str, ...]] = (
        r"\alpha_t = \min\left(\tfrac{t}{T}, 1\right) \alpha",
        r"\rho_t = \min\left(\exp \frac{\ln \rho_1 \ln \rho_3}{(1 - t/T) \ln \rho_3 + (t/T) \ln"
        r" \rho_1},\ \rho_3\right)",
        r"s_1 \leftarrow \rho_1 s_1 + (1 - \rho_1)\, g",
        r"s_2 \leftarrow \rho_t s_2 + (1 - \rho_t)\, g",
        r"r \leftarrow \rho_2 r + (1 - \rho_2)\, g \odot g",
        r"\hat{s}_1 = \frac{s_1}{1 - \rho_1^t},\quad \hat{r} = \frac{r}{1 - \rho_2^t}",
        r"\theta \leftarrow \theta - \epsilon \left(\frac{\hat{s}_1 + \alpha_t s_2}"
        r"{\sqrt{\hat{r}} + \delta} + \lambda \theta\right)",
    )
    traced: ClassVar[tuple[str, ...]] = (
        "alpha",
        "beta3",
        "fast",
        "slow",
        "r",
        "fast_hat",
        "r_hat",
        "after",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch",
        "s₁": "fast average of gradients, initially 0",
        "s₂": "slow average of gradients, initially 0 and not corrected for bias",
        "r": "second moment, initially 0",
        "t": "step number, starting from 1",
    }
    source: ClassVar[str] = (
        "M. Pagliardini, P. Ablin, D. Grangier, The AdEMAMix Optimizer (2024), algorithm 1; not in"
        " the notes."
    )
    differences: ClassVar[str] = (
        "torch has no AdEMAMix. α and ρ₃ grow as in the paper, T is the warm-up of both. With α = 0"
        " the rule is AdamW."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2", "beta3")}

    lr: float = shared.learning_rate(
        0.001,
        help="Approximate length of the step of each parameter by the fast average.",
        why="The default of Adam.",
    )
    beta1: float = shared.first_moment_decay(0.9)
    beta2: float = shared.second_moment_decay(0.999)
    beta3: float = number(
        0.9999,
        "Decay of the slow average",
        symbol="ρ₃",
        gt=0.0,
        lt=1.0,
        slider=(0.9, 0.99999),
        help="Share of the slow average that a step keeps: 0.9999 remembers about ten thousand"
        " steps.",
        why="The default of the authors; choose 0.999 for runs of a few thousand steps.",
    )
    alpha: float = number(
        5.0,
        "Factor of the slow average",
        symbol="α",
        ge=0.0,
        slider=(0.0, 20.0),
        help="Weight of the slow average in the step; 0 gives AdamW.",
        why="The authors use 4 to 10.",
    )
    warmup: int = integer(
        0,
        "Warm-up",
        symbol="T",
        unit="steps",
        ge=0,
        log=True,
        slider=(1, 100_000),
        help="Steps over which α grows from 0 and ρ₃ from ρ₁; 0 uses their values from the start.",
        why="The authors set it to the length of the run, which only the user knows.",
    )
    eps: float = shared.small_constant(
        1e-8,
        help="Keeps the division finite where the gradient is zero; added outside the square root.",
    )
    weight_decay: float = shared.weight_decay(
        0.0, why="Set the L2 penalty of the loss to zero, or both act."
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {name: torch.zeros_like(theta) for name in ("s_1", "s_2", "r")}

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        alpha, beta3 = _warmed_up(theta, h)
        fast = h.beta1 * state["s_1"] + (1.0 - h.beta1) * g
        slow = beta3 * state["s_2"] + (1.0 - beta3) * g
        r = h.beta2 * state["r"] + (1.0 - h.beta2) * g * g
        r_hat = r / (1.0 - h.beta2**h.step)
        fast_hat = fast / (1.0 - h.beta1**h.step)
        step = h.lr * (fast_hat + alpha * slow) / (r_hat.sqrt() + h.eps)
        after = (1.0 - h.lr * h.weight_decay) * theta - step
        return after, {"s_1": fast, "s_2": slow, "r": r}


def _warmed_up(theta: torch.Tensor, h: Hyperparameters) -> tuple[Any, Any]:
    """Return α and ρ₃ of this step, each a number or a column ``[R, 1]``."""
    if isinstance(h.warmup, int) and h.warmup == 0:
        return h.alpha, h.beta3
    first, last, warmup = (theta.new_zeros(()) + value for value in (h.beta1, h.beta3, h.warmup))
    share = torch.where(warmup > 0.0, h.step / warmup.clamp(min=1.0), 1.0).clamp(max=1.0)
    first, last = first.log(), last.log()
    # Half-lives grow evenly. Where ρ₁ is 0, its logarithm is −∞ and the limit is ρ₃'s share.
    grown = torch.where(
        first.isinf(), last / share, first * last / ((1.0 - share) * last + share * first)
    )
    return share * h.alpha, grown.exp()
