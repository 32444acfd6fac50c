"""Schedule-free gradient descent: averaging in place of a falling learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _schedule_free as free
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class ScheduleFreeSGD(Optimizer):
    """Gradient descent whose average needs no falling learning rate.

    A sequence z takes the steps at a constant rate, and the parameters are its average. The
    gradient is evaluated between the two: near the average, as in Nesterov momentum, so that the
    average itself is what is improved. No step at which training ends has to be known in advance.
    The learning rate should be as large as training remains stable; a schedule is used for a
    warm-up only.
    """

    name: ClassVar[str] = "schedule_free_sgd"
    label: ClassVar[str] = "Schedule-free SGD"
    group: ClassVar[str] = "Basic algorithms"
    sort_order: ClassVar[int] = 32
    rule: ClassVar[tuple[str, ...]] = (
        r"y = (1 - \beta)\, z + \beta\, \theta,\quad g = \nabla J(y)",
        r"z \leftarrow z - \epsilon\, g",
        *free.AVERAGE,
    )
    traced: ClassVar[tuple[str, ...]] = ("y", "g", "z", "gamma", "w", "S", "after")
    symbols: ClassVar[dict[str, str]] = {**free.SYMBOLS, **free.AVERAGE_SYMBOLS}
    shows_point: ClassVar[bool] = True
    source: ClassVar[str] = (
        "A. Defazio et al., The Road Less Scheduled (2024), algorithm 1 without Adam's scaling; not"
        " in the notes."
    )
    differences: ClassVar[str] = (
        "The package schedulefree keeps y in the model in training mode and x in evaluation mode;"
        " here the parameters are x throughout. Its warmup_steps is a schedule here. An L2 penalty acts at"
        " y, as in the package."
    )

    lr: float = shared.learning_rate(
        1.0,
        slider=(1e-3, 100.0),
        help="Length of the steps of z relative to the gradient.",
        why="The default of the authors, who find the best rates of SGD with momentum times 10 to"
        " 50 good.",
    )
    momentum: float = shared.momentum(
        0.9,
        symbol="β",
        help="Share of the average in the point of the gradient: 0 is averaging of plain gradient"
        " descent (Polyak), 1 evaluates at the average (primal averaging).",
        why="The default of the authors; 0.98 for long runs.",
    )
    weight_power: float = free.weight_power()
    rate_power: float = free.rate_power()

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return free.start(theta)

    @staticmethod
    def point(theta: torch.Tensor, state: State, h: Hyperparameters) -> torch.Tensor:
        y = free.between(theta, state["z"], h.momentum)
        return y  # noqa: RET504 - an explained step shows it

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        z = state["z"] - h.lr * g
        gamma, w, S = free.weights(state, h)
        return free.averaged(theta, z, w, S), {"z": z, "S": S, "gamma": gamma}
