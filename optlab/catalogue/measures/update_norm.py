"""Length of each step in parameter space."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.measures.base import Step, StepMeasure
from optlab.core.lazy import torch


class UpdateNorm(StepMeasure):
    """Euclidean norm of the change of the parameters in a step."""

    name: ClassVar[str] = "update_norm"
    label: ClassVar[str] = "Update norm"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (r"\left\| \theta_{k+1} - \theta_k \right\|",)
    source: ClassVar[str] = "Notes, momentum: the size of each step."
    log: ClassVar[bool] = True

    def take(self, step: Step) -> torch.Tensor:
        norm: torch.Tensor = torch.linalg.vector_norm(step.after - step.before, dim=1)
        return norm
