"""No clipping: the gradient as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.clipping.base import Clipping

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class NoClipping(Clipping):
    """Gradients are used as they are; a step on the face of a cliff may throw the parameters far
    away.
    """

    name: ClassVar[str] = "none"
    label: ClassVar[str] = "None"
    sort_order: ClassVar[int] = 10
    source: ClassVar[str] = "Notes, cliffs and exploding gradients (Figure 8.3)."
    active: ClassVar[bool] = False

    def clip(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        return g

    def touched(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        nothing: torch.Tensor = norm.new_zeros(norm.shape)
        return nothing
