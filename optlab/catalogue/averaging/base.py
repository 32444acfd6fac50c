"""Base class of averages of the iterates.

An average is a second point that follows the parameters. It is evaluated along with the last
iterate and does not affect training.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from optlab.core.component import Component, Section

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters

State = dict[str, "torch.Tensor"]
"""State of an average: name → tensor with a leading run axis."""


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
    """Whether an average is computed."""

    def scheduled_fields(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields() if field.kind == "number")

    @staticmethod
    @abstractmethod
    def start(theta: torch.Tensor) -> State:
        """Return the state before the first step; its entry ``average`` is ``[R, P]``."""

    @staticmethod
    @abstractmethod
    def update(state: State, theta: torch.Tensor, h: Hyperparameters) -> State:
        """Return the state after a step, without modifying the arguments.

        Args:
            state: state before the step.
            theta: parameters ``[R, P]`` after the step.
            h: the fields of the component and the number of the step, ``step`` (1, 2, …).
        """
