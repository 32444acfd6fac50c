"""Reduce on plateau: a smaller rate when the loss no longer decreases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from optlab.catalogue.schedules.base import Memory, Schedule
from optlab.core.fields import integer, number


class Plateau(Schedule):
    """The rate is cut whenever the validation loss has not improved for some evaluations.

    With a constant rate, the noise of minibatch gradients keeps the loss at a level proportional to
    the rate; once the loss has reached it, a smaller rate lets it decrease further. The loss
    determines the time of each cut, so it need not be known in advance. Without validation
    examples the training loss is used. The experiment sets the interval between evaluations, one
    epoch by default.
    """

    name: ClassVar[str] = "plateau"
    label: ClassVar[str] = "Reduce on plateau"
    sort_order: ClassVar[int] = 55
    watches: ClassVar[bool] = True
    rule: ClassVar[tuple[str, ...]] = (
        r"\epsilon_k = \max\left(\epsilon_0\, f^{n_k},\, \epsilon_{\min}\right)",
        r"J_i\ \text{is better if}\ J_i < (1 - t)\, \min_{j < i} J_j",
    )
    symbols: ClassVar[dict[str, str]] = {
        "ε₀": "the optimizer's learning rate",
        "n_k": "number of cuts so far; a cut follows more consecutive evaluations without an"
        " improvement than the patience",
        "J_i": "loss at evaluation i",
    }
    source: ClassVar[str] = "Not in the notes; as in torch.optim.lr_scheduler."
    differences: ClassVar[str] = (
        "Same as torch.optim.lr_scheduler.ReduceLROnPlateau(threshold_mode='rel'), which omits"
        " cuts of less than 1e-8."
    )

    factor: float = number(
        0.5,
        "Factor",
        symbol="f",
        gt=0.0,
        lt=1.0,
        slider=(0.05, 0.95),
        help="Factor by which a cut multiplies the rate.",
        why="With 0.5, a cut that is too early does not end progress.",
    )
    patience: int = integer(
        5,
        "Patience",
        unit="evaluations",
        ge=0,
        slider=(0, 50),
        help="Number of consecutive evaluations without an improvement that do not yet cut the"
        " rate.",
    )
    improvement: float = number(
        1e-4,
        "Minimum improvement",
        symbol="t",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.1),
        help="A loss counts as better if it is below the best previous one by more than this share"
        " of it.",
    )
    cooldown: int = integer(
        0,
        "Cooldown",
        unit="evaluations",
        ge=0,
        slider=(0, 50),
        help="Number of evaluations after a cut that do not count towards the patience.",
    )
    lowest: float = number(
        0.0,
        "Minimum rate",
        symbol="ε_min",
        ge=0.0,
        slider=(0.0, 0.01),
        help="The rate is not cut below this value. 0 means no limit; the rate can then become so"
        " small that the parameters no longer change.",
    )

    @property
    def sum_diverges(self) -> bool | None:
        # Without a minimum the rate is constant while the loss improves, and decreases
        # geometrically (with a finite sum) if it never improves again.
        return True if self.lowest > 0.0 else None

    @property
    def squares_converge(self) -> bool | None:
        return False if self.lowest > 0.0 else None

    def rate(self, lr: float, step: int) -> float:
        return lr

    def observed(self, memory: Memory, values: Mapping[str, float]) -> Memory:
        value = values["validation_loss"] if "validation_loss" in values else values["train_loss"]
        best, waited = memory.get("best", math.inf), memory.get("waited", 0.0) + 1.0
        cuts, cooling = memory.get("cuts", 0.0), memory.get("cooling", 0.0)
        # A nan compares as not below, so it counts as no improvement.
        if value < best * (1.0 - self.improvement):
            best, waited = value, 0.0
        if cooling > 0.0:
            cooling, waited = cooling - 1.0, 0.0
        if waited > self.patience:
            cuts, cooling, waited = cuts + 1.0, float(self.cooldown), 0.0
        return {"best": best, "waited": waited, "cuts": cuts, "cooling": cooling}

    def rate_given(self, lr: float, step: int, memory: Memory) -> float:
        # An initial rate below the minimum is not changed.
        cut: float = lr * self.factor ** memory.get("cuts", 0.0)
        return max(cut, min(lr, self.lowest))
