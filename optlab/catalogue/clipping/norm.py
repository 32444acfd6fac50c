"""Clipping by norm: the direction is kept, the length bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.clipping.base import Clipping
from optlab.core.fields import number

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class ClipByNorm(Clipping):
    """A gradient longer than the threshold is scaled down to it.

    The gradient gives the best direction within an infinitesimal region, but not the best step
    size; scaling it down keeps the step inside the region where the gradient is valid.
    """

    name: ClassVar[str] = "norm"
    label: ClassVar[str] = "By norm"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"g \leftarrow \frac{c\, g}{\left\| g \right\|}\quad \text{if}\ \left\| g \right\| > c",
    )
    source: ClassVar[str] = "Notes, gradient clipping; R. Pascanu, T. Mikolov, Y. Bengio (2013)."
    differences: ClassVar[str] = (
        "torch.nn.utils.clip_grad_norm_ divides by ‖g‖ + 1e-6; this rule clips the norm to exactly"
        " c."
    )

    threshold: float = number(
        1.0,
        "Threshold",
        symbol="c",
        gt=0.0,
        log=True,
        slider=(1e-3, 100.0),
        help="Maximum norm of a gradient.",
    )

    def clip(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        # A zero gradient gives c/0 = inf, which is clamped to 1.
        factor: torch.Tensor = (h.threshold / norm.unsqueeze(1)).clamp(max=1.0)
        return g * factor

    def clipped_share(
        self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters
    ) -> torch.Tensor:
        clipped: torch.Tensor = (norm.unsqueeze(1) > h.threshold).to(g.dtype).squeeze(1)
        return clipped
