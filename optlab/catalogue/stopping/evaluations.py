"""Evaluations: end the run when it has evaluated a number of gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from optlab.catalogue.stopping.base import EVALUATIONS, FullGradientNorm, Memory, Stopping
from optlab.core.fields import integer


class Evaluations(Stopping):
    """The run ends at the first evaluation after a number of gradients.

    Steps of different methods cost different amounts: a line search evaluates several gradients, a
    product with the Hessian or the Fisher matrix counts as two. This gives all of them the same
    budget on batches of the same size.
    """

    name: ClassVar[str] = "evaluations"
    label: ClassVar[str] = "At a number of gradients"
    sort_order: ClassVar[int] = 50
    rule: ClassVar[tuple[str, ...]] = (r"n_g \ge n",)
    symbols: ClassVar[dict[str, str]] = {
        "n_g": "gradients of the objective on a batch that have been evaluated so far"
    }
    source: ClassVar[str] = "The usual unit of cost of methods that take different steps."

    gradients: int = integer(
        1000,
        "Gradients",
        symbol="n",
        ge=1,
        le=10**12,
        log=True,
        slider=(10, 1_000_000),
        help="Gradients on a batch after which the run ends; the budget of steps still holds.",
    )

    def verdict(
        self,
        memory: Memory,
        step: int,
        values: Mapping[str, float],
        gradient_norm: FullGradientNorm,
    ) -> tuple[Memory, str | None]:
        taken = values.get(EVALUATIONS, float(step))
        if taken >= self.gradients:
            return memory, f"{taken:,.0f} gradients have been evaluated, of {self.gradients:,}"
        return memory, None
