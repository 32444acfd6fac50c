"""No clipping: gradients are not changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.clipping.base import Clipping

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class NoClipping(Clipping):
    """Gradients are not changed.

    A step at a cliff of the objective may move the parameters far away.
    """

    name: ClassVar[str] = "none"
    label: ClassVar[str] = "None"
    sort_order: ClassVar[int] = 10
    source: ClassVar[str] = "Notes, cliffs and exploding gradients (Figure 8.3)."
    active: ClassVar[bool] = False

    def clip(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        return g

    def clipped_share(
        self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters
    ) -> torch.Tensor:
        zeros: torch.Tensor = norm.new_zeros(norm.shape)
        return zeros
