"""No averaging: the last iterate is the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.averaging.base import Averaging, State

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters


class NoAveraging(Averaging):
    """Only the last iterate is evaluated."""

    name: ClassVar[str] = "none"
    label: ClassVar[str] = "None"
    sort_order: ClassVar[int] = 10
    active: ClassVar[bool] = False

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        return {}

    @staticmethod
    def update(state: State, theta: torch.Tensor, h: Hyperparameters) -> State:
        return state
