"""Distribution of margins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from optlab.catalogue.instruments.base import (
    Instrument,
    Quantity,
    Reading,
    Setting,
    StepContext,
    histogram,
    quartiles,
    schedule,
)
from optlab.core.data import LearningTask
from optlab.core.fields import choice, integer

if TYPE_CHECKING:
    import torch


class Margins(Instrument):
    """Distribution of margins: the output of the correct class minus the largest of the others.

    An example with a negative margin is misclassified. After the last training example is
    classified correctly, cross-entropy keeps pushing classes apart: the entire distribution moves
    to the right, and often the validation error still falls with it.
    """

    name: ClassVar[str] = "margins"
    label: ClassVar[str] = "Margins"
    group: ClassVar[str] = "Predictions"
    sort_order: ClassVar[int] = 110
    rule: ClassVar[tuple[str, ...]] = (r"f_{y_i}(x_i) - \max_{k \neq y_i} f_k(x_i)",)
    symbols: ClassVar[dict[str, str]] = {"f_k": "output for class k"}
    source: ClassVar[str] = "Notes, surrogate loss functions."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("quartiles", "Margins", vector=True),
        Quantity("negative", "Share of negative margins"),
    )
    draws: ClassVar[str] = "Histogram of the margins: edges and counts."

    every: int = schedule(200, "A reading costs an evaluation, so it is about as frequent.")
    part: Literal["training", "validation"] = choice(
        "training", "Part", help="Part of the data on which it is computed."
    )
    bins: int = integer(
        40, "Bins", ge=2, le=400, slider=(10, 100), help="Number of bins of the histogram."
    )

    def refusal(self, setting: Setting) -> str:
        if self.part == "validation" and not setting.validation:
            return (
                "it uses the validation part, but there is none; make dataset.validation larger, "
                "or set its field part to training."
            )
        return ""

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        margins = context.margins(self.part)
        if margins is None:
            return Reading({})

        def draw() -> dict[str, torch.Tensor]:
            edges, counts = histogram(margins, self.bins)
            return {"edges": edges, "counts": counts}

        return Reading(
            {"quartiles": quartiles(margins), "negative": (margins < 0.0).to(margins).mean(dim=1)},
            draw,
        )

    def cost(self) -> str:
        return "an evaluation of the part"
