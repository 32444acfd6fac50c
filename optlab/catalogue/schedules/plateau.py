"""Reduce on plateau: a smaller rate when the loss has stopped falling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from optlab.catalogue.schedules.base import Memory, Schedule
from optlab.core.fields import integer, number


class Plateau(Schedule):
    """The rate is cut whenever the validation loss has not improved for some evaluations.

    With a constant rate the noise of minibatch gradients holds the loss at a level in proportion to
    the rate; when it has got there, a smaller rate lets it fall further. When that is need not be
    known beforehand: the loss tells. Without a validation part the training loss is watched.
    Evaluations are as far apart as the experiment says, once an epoch by default.
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
        "n_k": "number of times that more than the patience of evaluations in a row were no better",
        "J_i": "loss at evaluation i",
    }
    source: ClassVar[str] = "Beyond the notes; as in torch.optim.lr_scheduler."
    differences: ClassVar[str] = (
        "torch.optim.lr_scheduler.ReduceLROnPlateau(threshold_mode='rel') is the same, but leaves out cuts of less than 1e-8."
    )

    factor: float = number(
        0.5,
        "Factor",
        symbol="f",
        gt=0.0,
        lt=1.0,
        slider=(0.05, 0.95),
        help="What the rate is multiplied by.",
        why="Half: a cut that comes too early is not the end of progress.",
    )
    patience: int = integer(
        5,
        "Patience",
        unit="evaluations",
        ge=0,
        slider=(0, 50),
        help="Evaluations in a row that may be no better before the rate is cut.",
    )
    improvement: float = number(
        1e-4,
        "Least improvement",
        symbol="t",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.1),
        help="By more than this share a loss has to be lower than the best one before to count as better.",
    )
    cooldown: int = integer(
        0,
        "Cooldown",
        unit="evaluations",
        ge=0,
        slider=(0, 50),
        help="Evaluations after a cut that are not counted as no better.",
    )
    lowest: float = number(
        0.0,
        "Lowest rate",
        symbol="ε_min",
        ge=0.0,
        slider=(0.0, 0.01),
        help="The rate is not cut below this. Zero for no limit: then it may become so small that nothing changes any more.",
    )

    @property
    def sum_diverges(self) -> bool | None:
        # Without a limit: constant while the loss improves, and falling geometrically (a finite
        # sum) when it never does again.
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
        # A loss that is not a number is not below anything, and counts as no better.
        if value < best * (1.0 - self.improvement):
            best, waited = value, 0.0
        if cooling > 0.0:
            cooling, waited = cooling - 1.0, 0.0
        if waited > self.patience:
            cuts, cooling, waited = cuts + 1.0, float(self.cooldown), 0.0
        return {"best": best, "waited": waited, "cuts": cuts, "cooling": cooling}

    def rate_given(self, lr: float, step: int, memory: Memory) -> float:
        # A rate that begins below the lowest is left as it is.
        cut: float = lr * self.factor ** memory.get("cuts", 0.0)
        return max(cut, min(lr, self.lowest))
