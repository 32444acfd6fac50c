"""Polyak averaging: the mean of all iterates."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.averaging.base import Averaging, State
from optlab.core.fields import integer

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class Polyak(Averaging):
    """The mean of the iterates since a chosen step.

    Iterates that jump back and forth across a valley may never reach its bottom, but their mean
    does. For convex problems it converges at the optimal rate.
    """

    name: ClassVar[str] = "polyak"
    label: ClassVar[str] = "Polyak (mean of all iterates)"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"\hat{\theta}_k = \frac{1}{k - b} \sum_{i=b+1}^{k} \theta_i",
    )
    source: ClassVar[str] = "Notes, averaging points; B. Polyak, A. Juditsky (1992)."
    differences: ClassVar[str] = (
        "torch.optim.swa_utils.AveragedModel with its default equal weights."
    )

    begin: int = integer(
        0,
        "Start after",
        symbol="b",
        unit="steps",
        ge=0,
        log=True,
        slider=(1, 100_000),
        help="Iterates up to this step are not averaged; until then the average is the iterate"
        " itself.",
        why="0 averages all iterates. The first ones are far from the solution, so a later start"
        " often helps.",
    )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {"average": theta.clone()}

    @staticmethod
    def update(state: State, theta: torch.Tensor, h: Hyperparameters) -> State:
        count = h.step - h.begin
        # The count is a column if runs start averaging at different steps; before that, the average
        # of a run is its iterate.
        share = 1.0 / (count.clamp(min=1) if hasattr(count, "clamp") else max(count, 1))
        return {"average": state["average"] + (theta - state["average"]) * share}
