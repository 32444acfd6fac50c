"""Base classes of optimizers: fields, state, the point of the gradient, and the update.

A rule is three pure functions of tensors and holds no state itself. The trainer calls them on
``theta [R, P]``, ``optlab.optim`` on the tensors of a user's module, and a surface on thousands of
points; all of them run the same code.

Most rules need one gradient per step (:class:`Optimizer`). Closure-based optimizers, which search
along a line or use curvature, evaluate the objective themselves (:class:`ObjectiveOptimizer`).
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

from optlab.catalogue.optimizers._imported import ImportedRule
from optlab.catalogue.optimizers._torch_state import TorchCall, TorchState
from optlab.core.component import Component, Section
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters
    from optlab.core.layout import Layout
    from optlab.numerics.conjugate_gradients import Product
    from optlab.numerics.kronecker import LayerFactors

State = dict[str, "torch.Tensor"]
"""The state that a rule carries from step to step: name → tensor with a leading run axis."""


class Optimizer(Component):
    """Base of all optimizers. A schedule acts on the field ``lr`` (ε) where a rule has one."""

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
        in_strip=2,
    )

    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Argument of ``torch.optim`` → fields that it bundles: ``{"betas": ("beta1", "beta2")}``."""
    torch_state: ClassVar[TorchState | None] = None
    """The optimizer of torch whose state it can continue, if there is one."""
    elementwise: ClassVar[bool] = True
    """Whether the rule treats every value by itself."""
    applied_to: ClassVar[Literal["tensor", "group", ""]] = "tensor"
    """What ``optlab.optim`` applies the rule to.

    Each tensor by itself, all tensors of a parameter group together, or "" where it does not offer
    the rule. The state of a rule that is not elementwise consists of tensors ``[R, n]``.
    """
    shows_point: ClassVar[bool] = False
    """Whether the losses at :meth:`point` are recorded beside those at ``theta``."""
    keeps_point: ClassVar[bool] = False
    """Whether :meth:`point` is part of the state, whatever ``theta`` is."""
    along_gradient: ClassVar[bool] = False
    """Whether the step is the rate times the gradient, or a velocity of such steps (``momentum``).

    The stability bounds of gradient descent then apply.
    """
    fixed: ClassVar[tuple[str, ...]] = ()
    """Fields that determine the shape of the state or the steps at which it is renewed.

    They cannot be changed during a run, and runs that are trained as one group share their values.
    """

    meanings: ClassVar[dict[str, str]] = {}
    """Entries of the state that other rules have, too → what they are, in words.

    A run that is forked with another rule takes over the entries that mean the same.
    """

    def meaning(self, entry: str) -> str:
        """Return what an entry of the state is: the same text for what can be taken over.

        What no other rule has means the same in this rule with the same choices alone.
        """
        if entry in self.meanings:
            return self.meanings[entry]
        choices = [
            f"{field.name}={getattr(self, field.name)}"
            for field in self.fields()
            if field.kind not in ("number", "integer") or field.name in self.fixed
        ]
        return f"{entry} of {self.name} {' '.join(choices)}".strip()

    traced: ClassVar[tuple[str, ...]] = ()
    """Names in the code of what the assignments of :meth:`lines` compute, in their order.

    Each is a local variable of the rule's functions, ``state.`` and an entry of the new state,
    ``g`` for the gradient, or ``after`` for the new parameters; "" for what the code does not hold.
    """

    def lines(self) -> tuple[str, ...]:
        """Return the lines of the rule with the present choices, in LaTeX."""
        return self.rule

    def takes_torch_steps(self, changing: Collection[str]) -> bool:
        """Return whether :attr:`torch_state` names an optimizer that takes the same steps.

        Args:
            changing: the fields that follow a schedule, ``lr`` included.
        """
        known = self.torch_state
        return known is not None and all(
            getattr(self, name) == value for name, value in known.values.items()
        )

    def torch_call(self, changing: Collection[str] = ()) -> TorchCall | None:
        """Return how an optimizer of torch is made that takes the same steps from the start.

        Args:
            changing: the fields that follow a schedule, ``lr`` included.

        Returns:
            None where there is none, or a field that changes is not a setting of its own there.
        """
        known = self.torch_state
        bundled = {one for fields in self.torch_arguments.values() for one in fields}
        if known is None or not self.takes_torch_steps(changing) or bundled & set(changing):
            return None
        groups = {
            field.name: known.arguments.get(field.name, field.name)
            for field in self.fields()
            if field.name not in bundled and field.kind in ("number", "integer", "flag")
        }
        arguments = {argument: getattr(self, name) for name, argument in groups.items()}
        for name, fields in self.torch_arguments.items():
            arguments[known.arguments.get(name, name)] = tuple(
                getattr(self, field) for field in fields
            )
        accepted = inspect.signature(getattr(torch.optim, known.optimizer)).parameters
        for name, required in known.requires.items():
            if name in accepted and accepted[name].default != required:
                arguments.setdefault(name, required)
        return TorchCall(f"torch.optim.{known.optimizer}", arguments, groups)

    def as_import(
        self,
        layout: Layout,
        precision: str,
        changing: Collection[str] = (),
        beside: Mapping[str, bytes] | None = None,
    ) -> ImportedRule | None:
        """Return how scripts import the optimizer; None where its class is not imported.

        Args:
            layout: of the parameters that it trains. precision: of these.
            changing: the fields that follow a schedule, ``lr`` included.
            beside: the files that lie beside the script already; see
                :func:`optlab.outside.own_models.copies.with_copies`.

        Raises:
            InvalidInput: a script cannot repeat its steps; the sentence says why.
        """
        return None

    def refusal(self, parameters: int) -> str:
        """Return why the rule cannot be used for this number of parameters, or "" if it can.

        The reason is a sentence that says what to do instead.
        """
        return ""

    def scheduled_fields(self) -> tuple[str, ...]:
        # The learning rate has a section of its own.
        return tuple(
            field.name
            for field in self.fields()
            if field.kind == "number" and field.name != "lr" and field.name not in self.fixed
        )

    @staticmethod
    def start(theta: torch.Tensor) -> State:
        """Return the state before the first step, for parameters ``theta`` ``[R, P]``."""
        return {}

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        """Return the state before the first step, for parameters ``theta`` ``[R, P]``.

        Overridden by rules whose state depends on their hyperparameters or on ``h.layout``, the
        division of ``theta`` into tensors.
        """
        return cls.start(theta)

    @staticmethod
    def point(theta: torch.Tensor, state: State, h: Hyperparameters) -> torch.Tensor:
        """Return the point ``[R, P]`` at which the gradient is evaluated.

        It is ``theta`` itself unless the rule looks ahead.
        """
        return theta

    @staticmethod
    def largest_stable(h: Hyperparameters) -> torch.Tensor | float | None:
        """Return the rate times the largest curvature at which the rule is stable on a quadratic.

        The curvature is that of D⁻¹H, with D the :meth:`preconditioner`: 2 for gradient descent.

        Returns:
            A number, or a column ``[R, 1]``; None for a rule without such a bound, as one that
            chooses its rate itself.
        """
        return None

    @staticmethod
    def preconditioner(state: State, h: Hyperparameters) -> torch.Tensor | None:
        """Return what divides the gradient of each parameter, ``[R, P]``; None for nothing.

        Args:
            state: after a step. h: as they were in it, with ``step`` 1, 2, ….
        """
        return None

    @staticmethod
    def average(state: State) -> torch.Tensor | None:
        """Return the average ``[R, P]`` of the iterates that the rule itself keeps, or None.

        It is evaluated along with ``theta``, as the averages of the section ``averaging`` are.
        """
        return None

    @staticmethod
    @abstractmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        """Take one step without modifying the arguments.

        Args:
            theta: parameters ``[R, P]``.
            g: gradients at :meth:`point`, ``[R, P]``.
            state: the state returned by :meth:`start` or by the last update.
            h: the fields of this rule and ``step`` (1, 2, …).

        Returns:
            The new parameters ``[R, P]`` and the new state.
        """


class Objective(Protocol):
    """The objective of R runs on the batch of a step, as a closure-based optimizer evaluates it.

    ``theta`` is ``[R, P]`` throughout.
    """

    @property
    def gradients(self) -> Sequence[int]:
        """Number of gradient evaluations so far, per run; a matrix-vector product counts as two."""

    @property
    def examples(self) -> int:
        """Number of examples of the batch; only rules that need predictions may ask."""

    def only(self, run: int) -> Self:
        """Return the objective of a single run."""

    def generator(self, run: int, purpose: str) -> torch.Generator:
        """Return a random generator for this step of a run; the purpose is part of its seed."""

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the values ``[R]``."""

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the values ``[R]`` and the gradients ``[R, P]``."""

    def full_gradient(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the gradients ``[R, P]`` on all training examples instead of those of the batch.

        For rules that declare ``needs_full_gradient``.
        """

    def example_gradients(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the values ``[R, m]`` and gradients ``[R, m, P]`` of single examples.

        Each is the loss of the example plus all else that belongs to the objective, so that their
        mean is that of the batch.
        """

    def example_rows(self) -> torch.Tensor:
        """Return the numbers ``[R, m]`` of the examples of the batch in the training set."""

    def sampled_gradient(self, theta: torch.Tensor, purpose: str) -> torch.Tensor:
        """Return the gradients ``[R, P]`` of the loss for targets drawn from the predictions.

        Every example gets a target of its own; the purpose is part of the seed. Weight decay is not
        included.
        """

    def layer_factors(self, theta: torch.Tensor, purpose: str) -> list[LayerFactors]:
        """Return the Kronecker factors of the layers, for targets drawn from the predictions.

        ``theta`` is ``[R, P]``. See :meth:`sampled_gradient`; layers that are not affine, or used twice, are left out.
        """

    def hessian_product(self, theta: torch.Tensor) -> Product:
        """Return the function ``v [R, P] → H v [R, P]``."""

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the Hessians ``[R, P, P]``."""

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """Return ``v [R, P] → F v [R, P]``, F the Fisher matrix of the model's predictions."""

    def fisher(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the Fisher matrices ``[R, P, P]`` of the model's predictions."""

    def gauss_newton_product(self, theta: torch.Tensor) -> Product:
        """Return ``v [R, P] → G v [R, P]``, G the Gauss–Newton matrix of the objective.

        ``G = mean Jᵀ S J + W``: J is the Jacobian of the outputs, S the Hessian of the loss by
        them, and W the Hessian of what does not depend on them, weight decay.
        """

    def gauss_newton(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the Gauss–Newton matrices ``[R, P, P]`` of the objective."""


@dataclass(frozen=True)
class Outcome:
    """Result of a step of an :class:`ObjectiveOptimizer`.

    Attributes:
        theta: new parameters ``[R, P]``.
        state: new state.
        loss: values ``[R]`` at the parameters before the step.
        gradient: gradients ``[R, P]`` at the parameters before the step.
        notes: one message per run that says why the step is not the regular step of the method
            (no descent, a failed line search), or "".
    """

    theta: torch.Tensor
    state: State
    loss: torch.Tensor
    gradient: torch.Tensor
    notes: tuple[str, ...] = ()


class ObjectiveOptimizer(Optimizer):
    """Base of closure-based optimizers: rules that evaluate the objective themselves.

    A rule works on all of its runs at once, or on one at a time through :meth:`Objective.only`.
    """

    elementwise: ClassVar[bool] = False
    applied_to: ClassVar[Literal["tensor", "group", ""]] = "group"
    needs_predictions: ClassVar[bool] = False
    """Whether the rule uses the Fisher or the Gauss–Newton matrix.

    The loss must then be a negative log-likelihood, and a closure must return the model's outputs
    along with the loss.
    """
    needs_layers: ClassVar[bool] = False
    """Whether the rule uses :meth:`Objective.layer_factors`.

    The model must then consist of affine layers and convolutions.
    """
    needs_examples: ClassVar[bool] = False
    """Whether the rule uses the gradients of single examples, and remembers something of each.

    ``begin`` then gets the number of training examples as ``h.examples``.
    """
    needs_full_gradient: ClassVar[bool] = False
    """Whether the rule uses the gradient on all training examples now and then.

    In a script, ``step`` must then be given a second closure.
    """
    gradient_free: ClassVar[bool] = False
    """Whether the gradient of an outcome has no part in the step and is for the plots alone."""

    @staticmethod
    @abstractmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        """Take one step from ``theta`` ``[R, P]`` without modifying the arguments."""

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        raise TypeError("this rule evaluates the objective itself; call step()")
