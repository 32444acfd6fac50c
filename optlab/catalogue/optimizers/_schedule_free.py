"""What the schedule-free rules share: their second sequence, its average, and the fields of both.

The iterate ``theta`` is the average x; the state holds the sequence z, which takes the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optlab.catalogue.optimizers.base import State
from optlab.core.fields import number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters

SYMBOLS = {
    "θ": "parameters: the weighted average of z, at which the losses are evaluated",
    "z": "the sequence that takes the steps; it starts at θ",
    "y": "point of the gradient, between z and θ",
    "g": "gradient of the objective on the batch, evaluated at y",
    "t": "step number, starting from 1",
}
AVERAGE = (
    r"\gamma \leftarrow \max(\gamma, \epsilon),\quad w = t^{p} \gamma^{q},\quad S \leftarrow S + w",
    r"\theta \leftarrow \left(1 - \frac{w}{S}\right) \theta + \frac{w}{S}\, z",
)
"""The lines of a rule that update the average."""
AVERAGE_SYMBOLS = {
    "γ": "largest learning rate so far",
    "w": "weight of z in the average, and S the sum of all weights so far",
}


def weight_power() -> Any:
    """Return the field ``weight_power``."""
    return number(
        0.0,
        "Power of the step",
        symbol="p",
        ge=0.0,
        slider=(0.0, 5.0),
        help="Step t weighs t to this power in the average: 0 weighs all steps equally, larger"
        " powers forget the first ones.",
        why="The default of the authors; the average is then the plain mean while the rate is"
        " constant.",
    )


def rate_power() -> Any:
    """Return the field ``rate_power``."""
    return number(
        2.0,
        "Power of the rate",
        symbol="q",
        ge=0.0,
        slider=(0.0, 4.0),
        help="A step weighs the largest rate so far to this power, so that steps of a warm-up count"
        " less.",
        why="The default of the authors.",
    )


def start(theta: torch.Tensor) -> State:
    """Return z ``[R, P]``, the sum of weights and the largest rate ``[R, 1]`` before step 1."""
    zero = torch.zeros_like(theta[:, :1])
    return {"z": theta.clone(), "S": zero, "gamma": zero}


def between(theta: torch.Tensor, z: torch.Tensor, share: Any) -> torch.Tensor:
    """Return y ``[R, P]``: the average θ with this share, z with the rest."""
    point: torch.Tensor = theta + (1.0 - share) * (z - theta)
    return point


def weights(state: State, h: Hyperparameters) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return γ, w and S of this step, each ``[R, 1]``."""
    gamma = state["gamma"].clamp(min=h.lr)
    w = h.step**h.weight_power * gamma**h.rate_power
    return gamma, w, state["S"] + w


def averaged(
    theta: torch.Tensor, z: torch.Tensor, w: torch.Tensor, total: torch.Tensor
) -> torch.Tensor:
    """Return the average ``[R, P]`` with the new z ``[R, P]`` in it, of weight w of a total S."""
    share = torch.where(total > 0.0, w / total, 0.0)
    return theta + share * (z - theta)
