"""How much of each gradient was clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Step, StepMeasure

if TYPE_CHECKING:
    import torch


class ClippedShare(StepMeasure):
    """Share of the gradient's components that clipping changed in a step.

    Clipping by norm changes all or none, so the mean over steps is the share of clipped steps; by
    value it changes some. Taken where a run clips.
    """

    name: ClassVar[str] = "clipped_share"
    label: ClassVar[str] = "Clipped share"
    sort_order: ClassVar[int] = 37
    source: ClassVar[str] = "Notes, gradient clipping."
    of_clipping: ClassVar[bool] = True

    def take(self, step: Step) -> torch.Tensor:
        assert step.clipped is not None, "not taken where no run clips"
        return step.clipped
