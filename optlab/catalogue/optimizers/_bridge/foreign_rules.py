"""Component classes of optimizers of other packages and of the user.

Most take one gradient per step. One whose ``step`` needs a closure is a closure-based optimizer; it
gets the loss and the gradient at whatever parameters it sets. One that wraps another optimizer gets a
simple one of torch, which is a choice in its form.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._bridge.execution import Population, Values
from optlab.catalogue.optimizers._bridge.foreign import POINT, ForeignPopulation
from optlab.catalogue.optimizers._bridge.rules import (
    TorchRule,
    UnsupportedOptimizer,
    build_rule,
    forget,
)
from optlab.catalogue.optimizers._bridge.signatures import FIRST, Signature
from optlab.catalogue.optimizers._imported import ImportedRule
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.errors import InvalidInput
from optlab.core.fields import choice, shown
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch

INNER: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "rmsprop": ("RMSprop", {}),
}
"""Wrapped optimizer → class of torch and its arguments but the rate."""


class ForeignRule(TorchRule):
    """Base of optimizers whose class is not of torch."""

    closure: ClassVar[bool] = False
    """Whether a step is given a closure."""

    @classmethod
    def update(
        cls, theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        values = cls.rows(theta, h)
        return cls.foreign(theta, h, values).advance(theta, g, state, values, h.step)

    @staticmethod
    def point(theta: torch.Tensor, state: State, h: Hyperparameters) -> torch.Tensor:
        return state.get(POINT, theta)

    def torch_call(self, changing: Any = ()) -> None:
        return None  # a script cannot import it from torch

    def as_import(
        self,
        layout: Layout,
        precision: str,
        changing: Collection[str] = (),
        beside: Mapping[str, bytes] | None = None,
    ) -> ImportedRule:
        # Imported here: no other part of a program asks for it.
        from optlab.catalogue.optimizers._bridge.importing import Importing

        return Importing(self, layout, precision, beside or {}).rule(changing)

    def origin(self, beside: Mapping[str, bytes]) -> tuple[str, Mapping[str, bytes]]:
        """Return the module from which scripts import the class, and the files beside them.

        Args:
            beside: the files that lie beside the script already, path → content.

        Raises:
            InvalidInput: they cannot be read, or not lie beside the script.
        """
        return self.signature.module, {}

    @classmethod
    def foreign(
        cls, theta: torch.Tensor, h: Hyperparameters, values: list[dict[str, Any]]
    ) -> ForeignPopulation:
        """Return the optimizers of the runs ``theta`` ``[R, P]``."""
        population = cls._population(theta, h, values)
        assert isinstance(population, ForeignPopulation)
        return population

    @classmethod
    def forget(cls) -> None:
        """Release the optimizers that this thread keeps for the next step."""
        forget(cls)

    @classmethod
    def key(cls, h: Hyperparameters) -> Hashable:
        return tuple(getattr(h, "seeds", ()))

    @classmethod
    def make_population(
        cls,
        layout: Layout,
        theta: torch.Tensor,
        h: Hyperparameters,
        values: Sequence[Values],
    ) -> Population:
        return ForeignPopulation(
            cls.label,
            cls.create,
            cls.assign,
            cls.ignored(),
            layout,
            theta,
            values,
            seeds=getattr(h, "seeds", [0] * len(theta)),
            closure=cls.closure,
            arguments=cls.arguments,
        )

    @classmethod
    def create(
        cls, parameters: Sequence[tuple[Parameter, torch.Tensor]], values: Values
    ) -> list[torch.optim.Optimizer]:
        tensors = [parameter for _, parameter in parameters]
        arguments = cls.arguments(values)
        make: Callable[..., Any] = cls.optimizer_class()
        wraps = cls.signature.wraps
        if wraps:
            name, more = INNER[values["inner"]]
            inner = getattr(torch.optim, name)
            if wraps == FIRST:
                if "lr" not in {argument.name for argument in cls.signature.arguments}:
                    arguments.pop("lr")
                return [make(inner(tensors, lr=values["lr"], **more), **arguments)]
            return [make(tensors, **{wraps: inner}, **arguments, **more)]
        try:
            return [make(tensors, **arguments)]
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything
            groups = matrix_groups(parameters)
            try:  # the convention of several packages for rules that train matrices only
                return [make(groups, **arguments)]
            except Exception:  # noqa: BLE001 - it does not follow the convention
                raise _as_refusal(error) from None

    @classmethod
    def arguments(cls, values: Values) -> dict[str, Any]:
        arguments = super().arguments(values)
        if cls.signature.wraps and "lr" not in arguments:
            arguments["lr"] = values["lr"]
        return arguments


class ClosureRule(ForeignRule, ObjectiveOptimizer):
    """Base of optimizers whose ``step`` needs a closure."""

    applied_to: ClassVar[Literal["tensor", "group", ""]] = ""
    closure: ClassVar[bool] = True

    @classmethod
    def step(
        cls, theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        values = cls.rows(theta, h)
        start = state.get(POINT, theta)
        loss, g = objective.gradient(start)
        evaluations = [
            _Evaluation(objective.only(run), start[run], loss[run], g[run])
            for run in range(len(theta))
        ]
        after, state = cls.foreign(theta, h, values).advance(
            theta, g, state, values, h.step, evaluations
        )
        return Outcome(after, state, loss, g)


class _Evaluation:
    """Loss and gradient of one run; those at the start of the step are known."""

    def __init__(
        self, objective: Objective, start: torch.Tensor, loss: torch.Tensor, g: torch.Tensor
    ) -> None:
        self._objective, self._start, self._loss, self._g = objective, start, loss, g

    def __call__(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if torch.equal(theta, self._start):
            return self._loss.clone(), self._g
        loss, g = self._objective.gradient(theta.unsqueeze(0))
        return loss[0], g[0]


def matrix_groups(
    parameters: Sequence[tuple[Parameter, torch.Tensor]],
) -> list[dict[str, Any]]:
    """Return parameter groups for a rule that trains matrices only, by a convention of packages.

    Args:
        parameters: of one run, tensors of any shape.
    """
    matrices = [p for spec, p in parameters if spec.role == "weight" and not spec.output]
    taken = {id(p) for p in matrices if p.dim() >= 2}
    groups = [
        {"params": [p for _, p in parameters if (id(p) in taken) is chosen], "use_muon": chosen}
        for chosen in (True, False)
    ]
    return [group for group in groups if group["params"]]


def _as_refusal(error: Exception) -> Exception:
    """Return an error of a constructor as one that is reported as a refusal."""
    if isinstance(error, ValueError | TypeError | AssertionError):
        return error
    return ValueError(f"{type(error).__name__}: {error}")


def wrapping(signature: Signature) -> dict[str, tuple[Any, Any]]:
    """Return the fields of the optimizer that another one wraps: annotation and declaration."""
    if not signature.wraps:
        return {}
    return {
        "lr": (
            float,
            shared.learning_rate(
                0.01, slider=(1e-6, 10.0), help="Learning rate of the wrapped optimizer."
            ),
        ),
        "inner": (
            Literal[tuple(INNER)],
            choice("momentum", "Wrapped optimizer", help="Optimizer of torch that is wrapped."),
        ),
    }


def foreign_rule(
    signature: Signature,
    name: str,
    label: str,
    group: str,
    order: int,
    *,
    closure: bool,
    modes: bool,
    parent: type[ForeignRule] = ForeignRule,
) -> type[ForeignRule]:
    """Build the component class of an optimizer that is not of torch.

    Args:
        signature: its constructor.
        name: name in files and flags.
        label: name in the picker.
        group: heading in the picker.
        order: rank in the picker.
        closure: whether its steps need a closure.
        modes: whether it has a training and an evaluation mode.
        parent: where it gets its class from.

    Raises:
        UnsupportedOptimizer: an argument cannot be a field and has no default.
    """
    if signature.wraps not in ("", FIRST) and not signature.open:
        raise UnsupportedOptimizer(
            f"it makes the optimizer {signature.wraps} itself, but takes no arguments for it."
        )
    bases: tuple[type, ...] = (parent,)
    if closure:
        bases = (ClosureRule,) if parent is ForeignRule else (parent, ClosureRule)
    base = type(
        "Base",
        bases,
        {
            "extra": wrapping(signature),
            "shows_point": modes,
            "keeps_point": modes,
            "__doc__": parent.__doc__,
        },
    )
    rule = build_rule(signature, name, label, group, order, None, base)
    rule.fixed = tuple(field.name for field in rule.fields() if field.kind == "integer")
    check_defaults(rule)
    assert issubclass(rule, ForeignRule)
    return rule


def check_defaults(rule: type[TorchRule]) -> None:
    """Refuse a rule with a default that an experiment file cannot hold.

    Raises:
        UnsupportedOptimizer: it has one.
    """
    try:
        rule.build({}, "")
    except InvalidInput as error:
        field = rule.field(error.field)
        argument = next(b.argument for b in rule.bindings if field.name in b.fields)
        raise UnsupportedOptimizer(
            f"the default of its argument '{argument}' is {shown(field.default)}, but it must be"
            f" a finite value ({field.allowed})."
        ) from None


def needs_closure(cls: Any) -> bool:
    """Return whether ``step`` of an optimizer class has to be given a closure."""
    step = inspect.signature(cls.step).parameters
    return "closure" in step and step["closure"].default is inspect.Parameter.empty
