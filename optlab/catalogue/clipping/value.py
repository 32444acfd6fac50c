"""Clipping by value: every component of the gradient is bounded separately."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.clipping.base import Clipping
from optlab.core.fields import number

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class ClipByValue(Clipping):
    """Each component of the gradient is limited to an interval around zero.

    Components within the interval do not change, so the direction turns away from the few
    components that are very large, such as those across a cliff. It is no longer the direction of
    steepest descent, but still a descent direction, because no sign changes.
    """

    name: ClassVar[str] = "value"
    label: ClassVar[str] = "By value"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (
        r"g_i \leftarrow \min\left(\max\left(g_i,\, -c\right),\, c\right)",
    )
    symbols: ClassVar[dict[str, str]] = {"g_i": "component i of the gradient"}
    source: ClassVar[str] = "Notes, gradient clipping; T. Mikolov (2012)."
    differences: ClassVar[str] = "Same as torch.nn.utils.clip_grad_value_."

    threshold: float = number(
        0.1,
        "Threshold",
        symbol="c",
        gt=0.0,
        log=True,
        slider=(1e-4, 10.0),
        help="Maximum absolute value of a component.",
        why="A gradient of a hundred components of this size has norm 1, the default threshold of"
        " clipping by norm.",
    )

    def clip(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        return g.clamp(min=-h.threshold, max=h.threshold)

    def clipped_share(
        self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters
    ) -> torch.Tensor:
        share: torch.Tensor = (g.abs() > h.threshold).to(g.dtype).mean(dim=1)
        return share
