"""Distance from the start, beside the length of the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from optlab.catalogue.instruments.base import Instrument, Quantity, Reading, StepContext, schedule
from optlab.core.lazy import torch
from optlab.core.limits import MAX_WAITING_ROWS


class Distance(Instrument):
    """Distance of the parameters from their start, beside the length of the path they took.

    Training rarely moves in a straight line: a ratio near 1 means a straight path, a ratio near 0
    one around mountains or a random walk in a valley, as with a learning rate that is too large for
    the batch. The starting point largely determines what training can reach.

    Both are measured from the step at which the instrument is switched on. A resumed run continues
    its path length; if the run was pretrained, its distance is not available after resuming,
    because pretraining is not repeated.
    """

    name: ClassVar[str] = "distance"
    label: ClassVar[str] = "Distance from the start"
    group: ClassVar[str] = "Path"
    sort_order: ClassVar[int] = 80
    rule: ClassVar[tuple[str, ...]] = (
        r"d_k = \left\| \theta_k - \theta_0 \right\|,\quad "
        r"l_k = \sum_{j=1}^k \left\| \theta_j - \theta_{j-1} \right\|,\quad \frac{d_k}{l_k} \leq 1",
    )
    symbols: ClassVar[dict[str, str]] = {"θ_k": "parameters after k steps"}
    source: ClassVar[str] = (
        "Notes, poor correspondence between local and global structure, Figure 8.4; chapter row "
        "C17."
    )
    usual: ClassVar[bool] = True
    watches: ClassVar[str] = "update_norm"
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("distance", "Distance from the start"),
        Quantity("length", "Length of the path"),
        Quantity("straightness", "Distance over length"),
    )

    every: int = schedule(
        50,
        "The length is added up at every step in any case, at less than 1% of the training.",
    )

    def begin(self, theta: torch.Tensor, memory: dict[str, Any]) -> None:
        memory["origin"] = theta
        memory["length"] = torch.zeros_like(theta[:, 0], dtype=torch.float64)
        memory["rows"] = []

    def watch(self, row: torch.Tensor, index: int, memory: dict[str, Any]) -> None:
        # Added up later, since this runs at every step.
        memory["rows"].append(row)
        memory["index"] = index
        if len(memory["rows"]) >= MAX_WAITING_ROWS:
            self._add(memory)

    def remembered(self, memory: dict[str, Any]) -> Mapping[str, torch.Tensor]:
        self._add(memory)
        return {"length": memory["length"]}

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        self._add(memory)
        length = memory["length"].to(context.after)
        distance = torch.linalg.vector_norm(context.after - memory["origin"], dim=1)
        straightness = torch.where(length > 0.0, distance / length, float("nan"))
        return Reading({"distance": distance, "length": length, "straightness": straightness})

    def cost(self) -> str:
        return "a small part of a plain step"

    @staticmethod
    def _add(memory: dict[str, Any]) -> None:
        """Add up the pending norms, in double precision for a path of millions of steps."""
        if memory["rows"]:
            norms = torch.stack(memory["rows"])[:, memory["index"]]
            memory["length"] = memory["length"] + norms.sum(dim=0, dtype=torch.float64)
            memory["rows"] = []
