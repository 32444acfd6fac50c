"""Base class of clipping: a map that bounds gradients and keeps their direction or signs."""

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
        in_strip=1,
    )
    active: ClassVar[bool] = True
    """Whether gradients are clipped."""

    def scheduled_fields(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields() if field.kind == "number")

    @abstractmethod
    def clip(self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters) -> torch.Tensor:
        """Return the clipped gradients ``[R, P]``.

        Args:
            g: gradients ``[R, P]``.
            norm: their Euclidean norms ``[R]``.
            h: fields of the component, numbers or columns ``[R, 1]``.
        """

    @abstractmethod
    def clipped_share(
        self, g: torch.Tensor, norm: torch.Tensor, h: Hyperparameters
    ) -> torch.Tensor:
        """Return the share ``[R]`` of the components of each gradient that :meth:`clip` changes.

        The arguments are those of :meth:`clip`.
        """
