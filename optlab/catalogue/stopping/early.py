"""Early stopping: end the run when the validation error no longer decreases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from optlab.catalogue.stopping.base import FullGradientNorm, Memory, Stopping
from optlab.core.fields import flag, integer, number


class EarlyStopping(Stopping):
    """The run ends when the validation error has not improved for some evaluations.

    Training minimizes a surrogate loss on the training set, but the goal is a low 0-1 error on
    other examples. So the latter decides when learning ends, whether or not pure optimization of
    the former would have converged. The reported reason states what was measured: the norm of the
    full gradient of the former, and its share of the value at the start.

    For regression, which has no 0-1 error, the rule uses the validation loss.
    """

    name: ClassVar[str] = "early"
    label: ClassVar[str] = "Early stopping"
    sort_order: ClassVar[int] = 30
    source: ClassVar[str] = (
        "Notes, surrogate loss functions and early stopping; Deep Learning, Algorithm 7.1."
    )
    needs_validation: ClassVar[bool] = True

    patience: int = integer(
        10,
        "Patience",
        unit="evaluations",
        ge=1,
        log=True,
        slider=(1, 100),
        help="Number of evaluations without an improvement after which the run ends.",
    )
    improvement: float = number(
        0.0,
        "Minimum improvement",
        ge=0.0,
        slider=(0.0, 0.1),
        help="An error counts as better if it is below the best previous one by more than this"
        " amount.",
    )
    restore_best: bool = flag(
        True,
        "Restore the best",
        help="When this rule ends the run, restore the parameters of the best evaluation.",
    )

    @property
    def keeps_best(self) -> bool:
        return self.restore_best

    def verdict(
        self,
        memory: Memory,
        step: int,
        values: Mapping[str, float],
        gradient_norm: FullGradientNorm,
    ) -> tuple[Memory, str | None]:
        name = "validation_error" if "validation_error" in values else "validation_loss"
        value = values.get(name)
        if value is None:
            return memory, None
        if "best" not in memory or value < memory["best"] - self.improvement:
            return {"best": value, "best_step": step, "waited": 0}, None
        memory = {**memory, "waited": memory["waited"] + 1}
        if memory["waited"] < self.patience:
            return memory, None
        quantity, best = name.replace("_", " "), int(memory["best_step"])
        restored = f"; the parameters of step {best:,} are restored" if self.restore_best else ""
        norm, start = gradient_norm(), values.get("gradient_norm_at_start")
        share = f", {norm / start:.2%} of {start:.3g} at the start" if start else ""
        return memory, (
            f"the {quantity} has not fallen below {memory['best']:.4g}, its value at step {best:,},"
            f" in {self.patience:,} evaluations; the norm of the gradient on the whole training set"
            f" is {norm:.3g}{share}{restored}"
        )
