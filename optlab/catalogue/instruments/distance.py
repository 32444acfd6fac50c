"""Distance from the start beside the length of the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from optlab.catalogue.instruments.base import Instrument, Quantity, Reading, StepContext, schedule
from optlab.core.lazy import torch
from optlab.core.limits import MAX_WAITING_ROWS


class Distance(Instrument):
    """How far the parameters are from where they started, beside the length of the way that they
    went.

    Training mostly does not go straight: a ratio near 1 is a straight way, one near 0 a way around
    mountains or a random walk about a valley, as of a learning rate that is too large for the
    batch. Where training starts decides much of where it can get.

    Both count from where this is switched on; that is the start, where it is on from the start. A
    run that is resumed goes on with its way, and where it had been pretrained, which is not done
    again, without the distance.
    """

    name: ClassVar[str] = "distance"
    label: ClassVar[str] = "Distance from the start"
    group: ClassVar[str] = "Path"
    sort_order: ClassVar[int] = 80
    rule: ClassVar[tuple[str, ...]] = (
        r"d_k = \left\| \theta_k - \theta_0 \right\|,\quad l_k = \sum_{j=1}^k \left\| \theta_j - \theta_{j-1} \right\|,\quad \frac{d_k}{l_k} \leq 1",
    )
    symbols: ClassVar[dict[str, str]] = {"θ_k": "parameters after k steps"}
    source: ClassVar[str] = (
        "Notes, poor correspondence between local and global structure, Figure 8.4; chapter row C17."
    )
    usual: ClassVar[bool] = True
    watches: ClassVar[str] = "update_norm"
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("distance", "Distance from the start"),
        Quantity("length", "Length of the way"),
        Quantity("straightness", "Distance over length"),
    )

    every: int = schedule(
        50, "The way is added up at every step whatever this is, at less than 1 % of the training."
    )

    def begin(self, theta: torch.Tensor, memory: dict[str, Any]) -> None:
        memory["origin"] = theta
        memory["length"] = torch.zeros_like(theta[:, 0], dtype=torch.float64)
        memory["rows"] = []

    def watch(self, row: torch.Tensor, place: int, memory: dict[str, Any]) -> None:
        # Added up later: this is done at every step.
        memory["rows"].append(row)
        memory["place"] = place
        if len(memory["rows"]) >= MAX_WAITING_ROWS:
            self._add(memory)

    def remembered(self, memory: dict[str, Any]) -> Mapping[str, torch.Tensor]:
        self._add(memory)
        return {"length": memory["length"]}

    def take(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        self._add(memory)
        length = memory["length"].to(context.after)
        distance = torch.linalg.vector_norm(context.after - memory["origin"], dim=1)
        straightness = torch.where(length > 0.0, distance / length, float("nan"))
        return Reading({"distance": distance, "length": length, "straightness": straightness})

    def cost(self) -> str:
        return "a small part of a plain step"

    @staticmethod
    def _add(memory: dict[str, Any]) -> None:
        """Add up the norms that wait; in double precision, for a way of millions of steps."""
        if memory["rows"]:
            norms = torch.stack(memory["rows"])[:, memory["place"]]
            memory["length"] = memory["length"] + norms.sum(dim=0, dtype=torch.float64)
            memory["rows"] = []
