"""What clipping is: a map of gradients that keeps their direction or sign and bounds their size."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from optlab.core.component import Component, Section

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class Clipping(Component):
    """Base of all clipping rules."""

    kind: ClassVar[str] = "clipping"
    section: ClassVar[Section] = Section(
        title="Gradient clipping",
        plural="Gradient clipping",
        chapter="Algorithms",
        order=80,
        form_order=90,
        default="none",
        live=True,
    )
    active: ClassVar[bool] = True
    """Whether gradients are touched at all."""

    @abstractmethod
    def clip(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        """The clipped gradient.

        Args:
            g: gradients ``[R, P]``.
            norm: their Euclidean norms ``[R]``.
            h: the rule's own fields, numbers or ``[R, 1]`` columns.
        """

    @abstractmethod
    def touched(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        """Share ``[R]`` of each gradient's components that :meth:`clip` changes; arguments as
        there.
        """
