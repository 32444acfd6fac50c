"""Share of clipped steps over a window."""

from __future__ import annotations

from typing import Any, ClassVar

from optlab.catalogue.instruments.base import (
    Instrument,
    Quantity,
    Reading,
    Setting,
    StepContext,
    schedule,
)
from optlab.core.lazy import torch
from optlab.core.limits import MAX_WAITING_ROWS


class ClippedSteps(Instrument):
    """Share of the steps since the last reading in which clipping changed the gradient.

    Clipping is meant for the rare step onto a cliff. Where it changes most steps, its threshold is
    a learning rate in disguise.
    """

    name: ClassVar[str] = "clipped_steps"
    label: ClassVar[str] = "Clipped steps"
    group: ClassVar[str] = "Path"
    sort_order: ClassVar[int] = 90
    source: ClassVar[str] = "Notes, gradient clipping."
    watches: ClassVar[str] = "clipped_share"
    gives: ClassVar[tuple[Quantity, ...]] = (Quantity("share", "Share of clipped steps"),)

    every: int = schedule(100, "A share of a hundred steps is accurate to a few percent.")

    def refusal(self, setting: Setting) -> str:
        return (
            ""
            if setting.clips
            else "it counts clipped steps, but gradients are not clipped here; choose a clipping "
            "rule."
        )

    def begin(self, theta: torch.Tensor, memory: dict[str, Any]) -> None:
        memory.update(rows=[], steps=0, clipped=torch.zeros_like(theta[:, 0]))

    def watch(self, row: torch.Tensor, index: int, memory: dict[str, Any]) -> None:
        # Counted later, since this runs at every step.
        memory["rows"].append(row)
        memory["index"] = index
        if len(memory["rows"]) >= MAX_WAITING_ROWS:
            self._count(memory)

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        self._count(memory)
        share = (
            memory["clipped"] / memory["steps"]
            if memory["steps"]
            else torch.full_like(memory["clipped"], float("nan"))
        )
        self.begin(context.after, memory)
        return Reading({"share": share})

    def cost(self) -> str:
        return "a small part of a plain step"

    @staticmethod
    def _count(memory: dict[str, Any]) -> None:
        if memory["rows"]:
            shares = torch.stack(memory["rows"])[:, memory["index"]]
            memory["clipped"] = memory["clipped"] + (shares > 0.0).to(shares).sum(dim=0)
            memory["steps"] += len(memory["rows"])
            memory["rows"] = []
