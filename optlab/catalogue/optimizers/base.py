"""What an optimizer is: fields, the state it keeps, the point at which it wants the gradient, and
its update.

A rule is three pure functions of tensors; it holds nothing itself. The engine calls them on ``theta
[R, P]``, ``optlab.optim`` on the tensors of a user's own module, a surface on thousands of points:
the same lines each time.

Most rules want one gradient a step (:class:`Optimizer`). Rules that search along a line or look at
curvature ask the objective itself (:class:`ObjectiveOptimizer`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from optlab.core.component import Component, Section

if TYPE_CHECKING:
    import torch

    from optlab.core.hyperparameters import Hyperparameters
    from optlab.numerics.conjugate_gradients import Product

State = dict[str, "torch.Tensor"]
"""What a rule remembers from step to step: name → tensor whose first axis is the run axis."""


class Optimizer(Component):
    """Base of all optimizers. Every one has a field ``lr`` (ε) if a schedule is to act on it."""

    kind: ClassVar[str] = "optimizer"
    section: ClassVar[Section] = Section(
        title="Optimizer",
        plural="Optimizers",
        chapter="Algorithms",
        order=60,
        form_order=30,
        default="sgd",
        live=True,
        opened=True,
    )

    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Argument of ``torch.optim`` → the fields that it bundles (``{"betas": ("beta1", "beta2")}``).
    """
    elementwise: ClassVar[bool] = True
    """Whether the rule treats every value by itself, so that it may be applied tensor by tensor."""
    along_gradient: ClassVar[bool] = False
    """Whether the step is the rate times the gradient, or a velocity of such steps (``momentum``):
    what is known of gradient descent's stability then holds.
    """
    fixed: ClassVar[tuple[str, ...]] = ()
    """Numbers that give the state its shape: they cannot be changed while a run goes, and runs that
    are trained as one group agree in them.
    """

    def refusal(self, parameters: int) -> str:
        """Why the rule cannot be used for so many parameters, in a sentence that says what to do
        instead; "" where it can.
        """
        return ""

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        """The state before the first step, for parameters ``[R, P]``."""
        return {}

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        """The same for rules whose state depends on their hyperparameters or on ``h.layout``, how
        ``theta`` divides into tensors.
        """
        return cls.start(theta)

    @staticmethod
    def point(theta: torch.Tensor, state: State, h: Hyperparameters) -> torch.Tensor:
        """Where the gradient is to be evaluated, ``[R, P]``; the parameters themselves unless the
        rule looks ahead.
        """
        return theta

    @staticmethod
    @abstractmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        """One step. New tensors are returned, none of the arguments is written to.

        Args:
            theta: parameters ``[R, P]``.
            g: gradients at :meth:`point`, ``[R, P]``.
            state: what :meth:`start` or the last update returned.
            h: this rule's fields and ``step`` (1, 2, …).

        Returns:
            the new parameters and the new state.
        """


class Objective(Protocol):
    """What a rule may ask about the objective on this step's batch, for R runs at once; ``theta``
    is ``[R, P]``.
    """

    @property
    def gradients(self) -> Sequence[int]:
        """Evaluations of the gradient so far, one number a run; a product counts as two."""

    def only(self, run: int) -> Self:
        """The objective of one run alone."""

    def generator(self, run: int, purpose: str) -> torch.Generator:
        """A generator for this step of one run."""

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        """Values ``[R]``."""

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values ``[R]`` and gradients ``[R, P]``."""

    def hessian_product(self, theta: torch.Tensor) -> Product:
        """``v`` → ``H v``."""

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        """Hessians ``[R, P, P]``."""

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """``v`` → ``F v``, with the Fisher matrix of the model's own predictions."""

    def fisher(self, theta: torch.Tensor) -> torch.Tensor:
        """Those Fisher matrices ``[R, P, P]``."""


@dataclass(frozen=True)
class Outcome:
    """What a step of an :class:`ObjectiveOptimizer` comes to.

    Attributes:
        theta: new parameters ``[R, P]``. state: the new state.
        loss, gradient: value ``[R]`` and gradient ``[R, P]`` at the parameters before the step.
        notes: one a run: why the step is not what the method promises (no descent, a line search
            that gave up), in words; "" where it is.
    """

    theta: torch.Tensor
    state: State
    loss: torch.Tensor
    gradient: torch.Tensor
    notes: tuple[str, ...] = ()


class ObjectiveOptimizer(Optimizer):
    """Base of rules that ask the objective itself.

    A rule works on all its runs at once, or on each alone by :meth:`Objective.only`.
    """

    elementwise: ClassVar[bool] = False
    needs_predictions: ClassVar[bool] = False
    """Whether the rule asks for the Fisher matrix: then the loss has to be a negative
    log-likelihood, and a closure's value alone does not do.
    """

    @staticmethod
    @abstractmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        """One step from ``theta`` ``[R, P]``; none of the arguments is written to."""

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        raise TypeError("this rule asks the objective itself; call step()")
