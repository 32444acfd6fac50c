"""What an optimizer is: fields, the state it keeps, the point at which it wants the gradient, and its update.

A rule is three pure functions of tensors; it holds nothing itself. The engine calls them on ``theta [R, P]``, ``optlab.optim`` on the tensors of
a user's own module, a surface on thousands of points: the same lines each time.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from optlab.component import Component

if TYPE_CHECKING:
    import torch

    from optlab.hyperparameters import Hyperparameters

State = dict[str, "torch.Tensor"]
"""What a rule remembers from step to step: name → tensor whose first axis is the run axis."""


class Optimizer(Component):
    """Base of all optimizers. Every one has a field ``lr`` (ε) if a schedule is to act on it."""

    kind: ClassVar[str] = "optimizer"

    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Argument of ``torch.optim`` → the fields that it bundles (``{"betas": ("beta1", "beta2")}``)."""
    elementwise: ClassVar[bool] = True
    """Whether the rule treats every value by itself, so that it may be applied tensor by tensor."""

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        """The state before the first step, for parameters ``[R, P]``."""
        return {}

    @staticmethod
    def point(theta: torch.Tensor, state: State, h: Hyperparameters) -> torch.Tensor:
        """Where the gradient is to be evaluated, ``[R, P]``; the parameters themselves unless the rule looks ahead."""
        return theta

    @staticmethod
    @abstractmethod
    def update(theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters) -> tuple[torch.Tensor, State]:
        """One step. New tensors are returned, none of the arguments is written to.

        Args:
            theta: parameters ``[R, P]``.
            g: gradients at :meth:`point`, ``[R, P]``.
            state: what :meth:`start` or the last update returned.
            h: this rule's fields and ``step`` (1, 2, …).

        Returns:
            the new parameters and the new state.
        """
