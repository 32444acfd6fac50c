"""Gradient norm: the halt of pure optimization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from optlab.catalogue.stopping.base import FullGradientNorm, Memory, Stopping
from optlab.core.fields import number


class GradientNorm(Stopping):
    """The run ends at the first evaluation at which the gradient on the whole training set is
    small.

    Pure optimization halts so, close to a critical point, which need not be a minimum. Training a
    deep model hardly ever gets there. The gradient is that of the objective, weight decay included;
    each evaluation costs a pass forwards and backwards through the training set more, and records
    the full gradient norm.
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
        help="Norm of the gradient at which, and below which, the run ends.",
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
                f"the norm of the gradient on the whole training set, {norm:.3g}, is at most {self.bound:g}",
            )
        return memory, None
