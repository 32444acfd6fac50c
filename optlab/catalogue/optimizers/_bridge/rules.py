"""Component classes made of constructors: each steps the real optimizer, a run at a time.

From the outside such a rule is as pure as any: ``update`` takes a state and gives a new one.
Inside, the optimizers of the last steps are kept (a few a thread), so that the next step finds its
state already in place. Rules of this kind are not offered by ``optlab.optim``: people have them
from torch.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import threading
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

from optlab.catalogue.optimizers._bridge.execution import Population, Values
from optlab.catalogue.optimizers._bridge.fields import FIXED, Binding, declare
from optlab.catalogue.optimizers._bridge.signatures import NO_DEFAULT, Signature
from optlab.catalogue.optimizers._bridge.words import About
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.errors import InvalidInput
from optlab.core.fields import flag, number
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch

_KEPT = 16
"""Populations of optimizers that a thread keeps ready."""


class Unfit(Exception):
    """A class that cannot be a component; the message is a sentence that says why."""


class TorchRule(Optimizer):
    """Base of all rules that step a torch optimizer."""

    elementwise: ClassVar[bool] = False
    signature: ClassVar[Signature]
    """The constructor it was made of."""
    bindings: ClassVar[tuple[Binding, ...]] = ()
    extra: ClassVar[dict[str, tuple[Any, Any]]] = {}
    """Fields beside the constructor's arguments: name → annotation and declaration."""
    loaded: ClassVar[Any] = None
    """The optimizer class where it was imported to be read; torch's own are found when they are
    first needed.
    """

    @classmethod
    def start(cls, theta: torch.Tensor) -> State:
        return cls.begin(theta, Hyperparameters(**cls().values(), step=1))

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        return cls._population(theta, h, _rows(cls, theta, h), fresh=True).state()

    @classmethod
    def update(
        cls, theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        values = _rows(cls, theta, h)
        return cls._population(theta, h, values).step(theta, g, state, values)

    # --- the optimizers ------------------------------------------------------------------------------------------------------------

    @classmethod
    def optimizer_class(cls) -> Any:
        """The torch optimizer itself.

        Raises:
            InvalidInput: the installed torch does not have it.
        """
        if cls.loaded is not None:
            return cls.loaded
        found = getattr(importlib.import_module(cls.signature.module), cls.signature.cls, None)
        if found is None:
            version = importlib.metadata.version("torch")
            message = f"optimizer.name is '{cls.name}', but the installed torch {version} has no {cls.signature.cls}; install a newer torch."
            raise InvalidInput(message, "optimizer.name")
        return found

    @classmethod
    def made(
        cls, parameters: Sequence[tuple[Parameter, torch.Tensor]], values: Values
    ) -> list[torch.optim.Optimizer]:
        """Optimizers of one run's parameters with the values of its fields."""
        return [
            cls.optimizer_class()(
                [parameter for _, parameter in parameters], **cls.arguments(values)
            )
        ]

    @classmethod
    def assigned(cls, optimizers: list[torch.optim.Optimizer], values: Values) -> bool:
        """Give optimizers other values; False where some are not settings of parameter groups, so
        that the optimizers have to be made anew.
        """
        wanted = cls.arguments(values)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        if any(set(wanted) - set(group) for group in groups):
            return False
        for group in groups:
            group.update(wanted)
        return True

    @classmethod
    def arguments(cls, values: Values) -> dict[str, Any]:
        """Arguments of the constructor from the values of the fields."""
        return {binding.argument: binding.value(values) for binding in cls.bindings}

    @classmethod
    def _population(
        cls,
        theta: torch.Tensor,
        h: Hyperparameters,
        values: list[dict[str, Any]],
        *,
        fresh: bool = False,
    ) -> Population:
        layout: Layout = getattr(h, "layout", None) or _one_tensor(theta.shape[1])
        discrete = tuple(value for value in values[0].values() if isinstance(value, bool | str))
        key = (cls, id(layout), tuple(theta.shape), theta.dtype, theta.device, discrete)
        kept = _kept()
        if fresh or key not in kept:
            ignored = frozenset(argument.name for argument in cls.signature.arguments) | FIXED
            population = Population(
                cls.label, cls.made, cls.assigned, ignored, layout, theta, values
            )
            while len(kept) >= _KEPT:
                kept.pop(next(iter(kept)), None)
            # The layout is its trainer's: when that is gone, so are its optimizers.
            kept[key] = (
                weakref.ref(layout, lambda _, key=key, kept=kept: kept.pop(key, None)),  # type: ignore[misc]
                population,
            )
        return kept[key][1]


class MuonRule(TorchRule):
    """Base of Muon, which is for matrices only: the rest is AdamW's."""

    extra: ClassVar[dict[str, tuple[Any, Any]]] = {
        "rest_rate": (
            float,
            number(
                1.0,
                "Rate of the rest",
                gt=0.0,
                log=True,
                slider=(1e-3, 10.0),
                help="AdamW's learning rate as a multiple of Muon's, so that schedules act on both; its decays are 0.9 and 0.999, its small constant is 1e-8.",
                why="At torch's default rate for Muon this is AdamW's own default; at Muon's usual 0.02 choose about 0.05.",
            ),
        ),
        "output_by_muon": (
            bool,
            flag(
                False,
                "Output layer, too",
                help="Train the weights of the output layer by Muon, too, instead of by AdamW.",
                why="Muon is meant for hidden layers; of the output's weights each row belongs to an output of its own.",
            ),
        ),
    }

    @classmethod
    def made(
        cls, parameters: Sequence[tuple[Parameter, torch.Tensor]], values: Values
    ) -> list[torch.optim.Optimizer]:
        matrices = [
            p
            for spec, p in parameters
            if p.dim() == 2
            and spec.role == "weight"
            and (values["output_by_muon"] or not spec.output)
        ]
        chosen = {id(p) for p in matrices}
        rest = [p for _, p in parameters if id(p) not in chosen]
        found: list[torch.optim.Optimizer] = []
        if matrices:
            found.append(cls.optimizer_class()(matrices, **cls.arguments(values)))
        if rest:
            found.append(torch.optim.AdamW(rest, **_rest(values)))
        return found

    @classmethod
    def assigned(cls, optimizers: list[torch.optim.Optimizer], values: Values) -> bool:
        for optimizer in optimizers:
            wanted = (
                cls.arguments(values)
                if isinstance(optimizer, cls.optimizer_class())
                else _rest(values)
            )
            for group in optimizer.param_groups:
                group.update(wanted)
        return True


def _rest(values: Values) -> dict[str, Any]:
    return {"lr": values["lr"] * values["rest_rate"], "weight_decay": values["weight_decay"]}


_BASES: dict[str, type[TorchRule]] = {"Muon": MuonRule}
"""Classes of torch that need more than their constructor."""


def rule(
    signature: Signature, name: str, label: str, group: str, place: int, about: About | None
) -> type[TorchRule]:
    """The component class of an optimizer.

    Args:
        about: the words of its page, for torch's own.

    Raises:
        Unfit: an argument without a default cannot be a field.
    """
    known = signature.module.startswith("torch.optim")
    base = _BASES.get(signature.cls, TorchRule) if known else TorchRule
    reserved = frozenset(dir(TorchRule))
    annotations: dict[str, Any] = {}
    declarations: dict[str, Any] = {}
    bindings: list[Binding] = []
    fixed: list[str] = []
    for argument in signature.arguments:
        declared = declare(signature.cls, argument, reserved, known)
        if declared.binding is not None and not set(declared.annotations) & set(annotations):
            annotations |= declared.annotations
            declarations |= declared.declarations
            bindings.append(declared.binding)
        elif argument.default == NO_DEFAULT:
            raise Unfit(
                f"its argument '{argument.name}' has no default that could be shown in a form."
            )
        else:
            fixed.append(argument.name)
    annotations |= {field: annotation for field, (annotation, _) in base.extra.items()}
    declarations |= {field: declaration for field, (_, declaration) in base.extra.items()}
    body: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": f"Torch{signature.cls}",
        "__doc__": _page(signature, group, about, fixed),
        "__annotations__": annotations,
        "name": name,
        "label": label,
        "group": group,
        "sort_order": place,
        "rule": about.rule if about is not None else (),
        "symbols": dict(about.symbols) if about is not None else {},
        "source": about.source if about is not None else f"The class {signature.cls} of {group}.",
        "signature": signature,
        "bindings": tuple(bindings),
        "torch_arguments": {
            binding.argument: binding.fields for binding in bindings if binding.bundled
        },
        **declarations,
    }
    return type(f"Torch{signature.cls}", (base,), body)


def _page(signature: Signature, group: str, about: About | None, fixed: Sequence[str]) -> str:
    if about is not None:
        paragraphs = [about.sentence, about.explanation]
    else:
        paragraphs = [
            f"The optimizer {signature.cls} of {group}.",
            f"Its fields are what its constructor takes; {group} says what they mean and how the rule goes.",
        ]
    ways = ", ".join(name for name in fixed if name in FIXED)
    rest = ", ".join(name for name in fixed if name not in FIXED)
    words = (
        f"The step is made by {signature.module}.{signature.cls} itself, one run after the other."
    )
    if ways or rest:
        words += f" These arguments stay at their defaults: {', '.join(part for part in (rest, ways) if part)}."
    return "\n\n".join([*(part for part in paragraphs if part), words])


def _rows(cls: type[TorchRule], theta: torch.Tensor, h: Hyperparameters) -> list[dict[str, Any]]:
    """The values of the fields, a dictionary a run."""
    runs = theta.shape[0]
    rows: list[dict[str, Any]] = [{} for _ in range(runs)]
    for field in cls.fields():
        value = getattr(h, field.name)
        column = value.flatten().tolist() if isinstance(value, torch.Tensor) else [value] * runs
        for row, own in zip(rows, column, strict=True):
            row[field.name] = round(own) if field.kind == "integer" else own
    return rows


@functools.lru_cache(maxsize=8)
def _one_tensor(size: int) -> Layout:
    """The layout of parameters of which nothing is known but their number."""
    return Layout((Parameter("theta", (size,), "weight", size, size),))


_here = threading.local()  # optimizers write into their parameters: two threads must not share them


def _kept() -> dict[tuple[Any, ...], tuple[Any, Population]]:
    if not hasattr(_here, "kept"):
        _here.kept = {}
    kept: dict[tuple[Any, ...], tuple[Any, Population]] = _here.kept
    return kept
