"""Gradient by time step."""

from __future__ import annotations

from typing import Any, ClassVar

from optlab.catalogue.instruments.base import (
    Instrument,
    Named,
    Quantity,
    Reading,
    Setting,
    StepContext,
    schedule,
)


class TimeGradient(Instrument):
    """Norm of the gradient by the state at each time step, averaged over the batch.

    The gradient of an early step passes through the recurrent weights once for each step in
    between: with their powers it vanishes or explodes, and a long lag cannot be learned. The norm
    at the first step over that at the last is the share of the gradient that is left.

    For a model without a recurrent state, it is the gradient by the inputs of each step.
    """

    name: ClassVar[str] = "time_gradient"
    label: ClassVar[str] = "Gradient by time step"
    group: ClassVar[str] = "By layer"
    sort_order: ClassVar[int] = 75
    rule: ClassVar[tuple[str, ...]] = (
        r"\frac{1}{m} \sum_i \left\| \frac{\partial \ell_i}{\partial h_{i,t}} \right\|,\quad "
        r"t = 0, \dots, T - 1",
    )
    symbols: ClassVar[dict[str, str]] = {
        "ℓ_i": "loss of example i",
        "h_{i,t}": "its state after step t, or its input in step t",
        "m": "number of examples in the batch",
    }
    source: ClassVar[str] = (
        "Notes, long-term dependencies, (8.11); Y. Bengio, P. Simard, P. Frasconi (1994)."
    )
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("norm", "Gradient norm by time step", log=True, vector=True),
        Quantity("left", "Norm at the first step over that at the last", log=True),
    )
    draws: ClassVar[str] = "The norm against the time step."

    every: int = schedule(20, "A reading costs about two steps.")

    def refusal(self, setting: Setting) -> str:
        return (
            ""
            if setting.sequence
            else "it needs sequences (steps × values), but the examples of this data set are not "
            "sequences; choose another data set."
        )

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        norms, by = context.by_time()
        names = tuple(f"{by}.{t}" for t in range(norms.shape[1]))
        return Reading(
            {"norm": Named(norms, names), "left": norms[:, 0] / norms[:, -1]},
            lambda: {"norm": norms},
        )

    def cost(self) -> str:
        return "about two plain steps"
