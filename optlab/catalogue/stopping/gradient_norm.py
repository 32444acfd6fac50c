"""Gradient norm: the stopping rule of pure optimization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from optlab.catalogue.stopping.base import FullGradientNorm, Memory, Stopping
from optlab.core.fields import number


class GradientNorm(Stopping):
    """The run ends when the gradient on the whole training set is small.

    This is how pure optimization ends: near a critical point, which need not be a minimum. Training
    of a deep network rarely gets there. The gradient is that of the objective, weight decay
    included. Each evaluation costs an additional forward and backward pass through the training
    set, and records the full gradient norm.
    """

    name: ClassVar[str] = "gradient_norm"
    label: ClassVar[str] = "At a small gradient"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (r"\|\nabla J(\theta)\| \le b",)
    symbols: ClassVar[dict[str, str]] = {"J": "objective on the whole training set"}
    source: ClassVar[str] = "Notes, how learning differs from pure optimization."

    bound: float = number(
        1e-3,
        "Bound",
        symbol="b",
        gt=0.0,
        log=True,
        slider=(1e-8, 1.0),
        help="The run ends when the norm of the gradient is at most this value.",
    )

    def verdict(
        self,
        memory: Memory,
        step: int,
        values: Mapping[str, float],
        gradient_norm: FullGradientNorm,
    ) -> tuple[Memory, str | None]:
        norm = gradient_norm()
        if norm <= self.bound:
            return (
                memory,
                f"the norm of the gradient on the whole training set, {norm:.3g}, is at most"
                f" {self.bound:g}",
            )
        return memory, None
