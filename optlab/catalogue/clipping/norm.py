"""Clipping by norm: the direction is kept, the length bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.clipping.base import Clipping
from optlab.core.fields import number

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class ClipByNorm(Clipping):
    """A gradient longer than the threshold is scaled back to it.

    The gradient tells the best direction within an infinitesimal region, not the best step size;
    scaling it back keeps the step inside the region where it can be believed.
    """

    name: ClassVar[str] = "norm"
    label: ClassVar[str] = "By norm"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"g \leftarrow \frac{c\, g}{\left\| g \right\|}\quad \text{if}\ \left\| g \right\| > c",
    )
    source: ClassVar[str] = "Notes, gradient clipping; R. Pascanu, T. Mikolov, Y. Bengio (2013)."
    differences: ClassVar[str] = (
        "torch.nn.utils.clip_grad_norm_ divides by ‖g‖ + 1e-6; here the clipped norm is exactly c."
    )

    threshold: float = number(
        1.0,
        "Threshold",
        symbol="c",
        gt=0.0,
        log=True,
        slider=(1e-3, 100.0),
        help="Largest norm that a gradient keeps.",
    )

    def clip(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        # A zero gradient gives c/0 = inf, clamped to 1: it stays as it is.
        factor: torch.Tensor = (h.threshold / norm.unsqueeze(1)).clamp(max=1.0)
        return g * factor

    def touched(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        all_of_it: torch.Tensor = (norm.unsqueeze(1) > h.threshold).to(g.dtype).squeeze(1)
        return all_of_it
