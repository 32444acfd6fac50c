"""What averaging is: a second point that follows the parameters, evaluated beside the last iterate
and never trained on.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from optlab.core.component import Component, Section

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters

State = dict[str, "torch.Tensor"]


class Averaging(Component):
    """Base of all averages."""

    kind: ClassVar[str] = "averaging"
    section: ClassVar[Section] = Section(
        title="Averaging of the iterates",
        plural="Averaging",
        chapter="Strategies",
        order=110,
        form_order=100,
        default="none",
    )
    active: ClassVar[bool] = True
    """Whether there is an average at all."""

    @staticmethod
    @abstractmethod
    def start(theta: torch.Tensor) -> State:
        """State before the first step, ``average`` ``[R, P]`` among it."""

    @staticmethod
    @abstractmethod
    def update(state: State, theta: torch.Tensor, h: Hyperparameters) -> State:
        """State after a step that led to ``theta`` ``[R, P]``; ``h.step`` is its number (1, 2, …).
        Nothing is written to.
        """
