"""Component classes built from constructors; each steps the real optimizer, run by run.

From the outside such a rule is as pure as any other: ``update`` takes a state and returns a new
one. Internally, the optimizers of the last steps are cached per thread, so that the state of the
next step is already in place. ``optlab.optim`` does not offer these rules, because torch does.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import threading
import weakref
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from optlab.catalogue.optimizers._bridge.descriptions import Description
from optlab.catalogue.optimizers._bridge.execution import Population, Values
from optlab.catalogue.optimizers._bridge.fields import FIXED, Binding, declare
from optlab.catalogue.optimizers._bridge.signatures import NO_DEFAULT, Signature
from optlab.catalogue.optimizers._imported import ImportedRule
from optlab.catalogue.optimizers._torch_state import TorchCall
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.errors import InvalidInput
from optlab.core.fields import flag, number
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch

_CACHE_SIZE = 16
"""Number of populations of optimizers that a thread keeps."""


class UnsupportedOptimizer(Exception):
    """Raised for a class that cannot be a component; the message says why."""


class TorchRule(Optimizer):
    """Base of all rules that step a torch optimizer."""

    elementwise: ClassVar[bool] = False
    applied_to: ClassVar[Literal["tensor", "group", ""]] = ""
    signature: ClassVar[Signature]
    """The constructor from which the class was built."""
    bindings: ClassVar[tuple[Binding, ...]] = ()
    extra: ClassVar[dict[str, tuple[Any, Any]]] = {}
    """Fields besides the arguments of the constructor: name → annotation and declaration."""
    loaded: ClassVar[Any] = None
    """The optimizer class of a registered package; those of torch are imported on first use."""

    @classmethod
    def start(cls, theta: torch.Tensor) -> State:
        return cls.begin(theta, Hyperparameters(**cls().values(), step=1))

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        return cls._population(theta, h, cls.rows(theta, h), fresh=True).state()

    @classmethod
    def update(
        cls, theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        values = cls.rows(theta, h)
        return cls._population(theta, h, values).step(theta, g, state, values)

    @classmethod
    def rows(cls, theta: torch.Tensor, h: Hyperparameters) -> list[dict[str, Any]]:
        """Return the values of the fields, one dictionary per row of ``theta`` ``[R, P]``."""
        runs = theta.shape[0]
        rows: list[dict[str, Any]] = [{} for _ in range(runs)]
        for field in cls.fields():
            value = getattr(h, field.name)
            column = value.flatten().tolist() if isinstance(value, torch.Tensor) else [value] * runs
            for row, own in zip(rows, column, strict=True):
                row[field.name] = round(own) if field.kind == "integer" else own
        return rows

    def torch_call(self, changing: Collection[str] = ()) -> TorchCall | None:
        groups = {
            binding.fields[0]: binding.argument for binding in self.bindings if not binding.bundled
        }
        if set(changing) - set(groups):
            return None
        name = f"{self.signature.module}.{self.signature.cls}"
        if self.signature.module.startswith("torch.optim"):
            name = f"torch.optim.{self.signature.cls}"
        return TorchCall(name, self.arguments(self.values()), groups)

    # --- the optimizers ---------------------------------------------------------------------------

    @classmethod
    def optimizer_class(cls) -> Any:
        """Return the class of the torch optimizer.

        Raises:
            InvalidInput: the installed torch does not have it.
        """
        if cls.loaded is not None:
            return cls.loaded
        module = importlib.import_module(cls.signature.module)
        optimizer = getattr(module, cls.signature.cls, None)
        if optimizer is None:
            version = importlib.metadata.version("torch")
            raise InvalidInput(
                f"optimizer.name is '{cls.name}', but the installed torch {version} has no"
                f" {cls.signature.cls}; install a newer torch.",
                "optimizer.name",
            )
        return optimizer

    @classmethod
    def create(
        cls, parameters: Sequence[tuple[Parameter, torch.Tensor]], values: Values
    ) -> list[torch.optim.Optimizer]:
        """Return optimizers for the parameters of one run (tensors of any shape) and its values."""
        return [
            cls.optimizer_class()(
                [parameter for _, parameter in parameters], **cls.arguments(values)
            )
        ]

    @classmethod
    def assign(cls, optimizers: list[torch.optim.Optimizer], values: Values) -> bool:
        """Assign new values to optimizers.

        Return False if some values are not settings of parameter groups, so that the optimizers
        must be rebuilt.
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
        """Return the arguments of the constructor for values of the fields."""
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
        key = (cls, id(layout), tuple(theta.shape), theta.dtype, theta.device, discrete, cls.key(h))
        cache = _cache()
        if fresh or key not in cache:
            population = cls.make_population(layout, theta, h, values)
            while len(cache) >= _CACHE_SIZE:
                cache.pop(next(iter(cache)), None)
            # The layout belongs to a trainer; the optimizers are released together with it.
            cache[key] = (
                weakref.ref(layout, lambda _, key=key, cache=cache: cache.pop(key, None)),  # type: ignore[misc]
                population,
            )
        return cache[key][1]

    @classmethod
    def key(cls, h: Hyperparameters) -> Hashable:
        """Return what else distinguishes populations of its optimizers."""
        return ()

    @classmethod
    def make_population(
        cls,
        layout: Layout,
        theta: torch.Tensor,
        h: Hyperparameters,
        values: Sequence[Values],
    ) -> Population:
        """Return new optimizers, one for each row of ``theta`` ``[R, P]``."""
        return Population(cls.label, cls.create, cls.assign, cls.ignored(), layout, theta, values)

    @classmethod
    def ignored(cls) -> frozenset[str]:
        """Return the keys of parameter groups that are settings."""
        return frozenset(argument.name for argument in cls.signature.arguments) | FIXED


class MuonRule(TorchRule):
    """Base of Muon, which trains matrices only; AdamW trains all other parameters."""

    extra: ClassVar[dict[str, tuple[Any, Any]]] = {
        "rest_rate": (
            float,
            number(
                1.0,
                "Rate of other parameters",
                gt=0.0,
                log=True,
                slider=(1e-3, 10.0),
                help="Learning rate of AdamW as a multiple of that of Muon, so that schedules act"
                " on both. Its decays are 0.9 and 0.999, its small constant is 1e-8.",
                why="At torch's default rate for Muon, 1 gives AdamW its own default; at the usual"
                " rate 0.02 of Muon choose about 0.05.",
            ),
        ),
        "output_by_muon": (
            bool,
            flag(
                False,
                "Include the output layer",
                help="Train the weights of the output layer by Muon instead of AdamW.",
                why="Muon is meant for hidden layers; in the output layer each row of the weights"
                " belongs to a separate output.",
            ),
        ),
    }

    def torch_call(self, changing: Collection[str] = ()) -> TorchCall | None:
        return None  # it takes two optimizers

    def as_import(
        self,
        layout: Layout,
        precision: str,
        changing: Collection[str] = (),
        beside: Mapping[str, bytes] | None = None,
    ) -> ImportedRule:
        # Imported here: no other part of a program asks for it.
        from optlab.catalogue.optimizers._bridge.muon_import import imported

        values = self.values()
        names: dict[bool, list[str]] = {True: [], False: []}
        for spec in layout.parameters:
            names[self._is_matrix(spec, values)].append(spec.name)
        return imported(
            names,
            values,
            self.arguments(values),
            _adamw_arguments(values),
            self.bindings,
            changing,
        )

    @staticmethod
    def _is_matrix(spec: Parameter, values: Values) -> bool:
        inside = values["output_by_muon"] or not spec.output
        return len(spec.shape) == 2 and spec.role == "weight" and inside

    @classmethod
    def create(
        cls, parameters: Sequence[tuple[Parameter, torch.Tensor]], values: Values
    ) -> list[torch.optim.Optimizer]:
        matrices = [p for spec, p in parameters if cls._is_matrix(spec, values)]
        selected = {id(p) for p in matrices}
        rest = [p for _, p in parameters if id(p) not in selected]
        optimizers: list[torch.optim.Optimizer] = []
        if matrices:
            optimizers.append(cls.optimizer_class()(matrices, **cls.arguments(values)))
        if rest:
            optimizers.append(torch.optim.AdamW(rest, **_adamw_arguments(values)))
        return optimizers

    @classmethod
    def assign(cls, optimizers: list[torch.optim.Optimizer], values: Values) -> bool:
        for optimizer in optimizers:
            wanted = (
                cls.arguments(values)
                if isinstance(optimizer, cls.optimizer_class())
                else _adamw_arguments(values)
            )
            for group in optimizer.param_groups:
                group.update(wanted)
        return True


def _adamw_arguments(values: Values) -> dict[str, Any]:
    return {"lr": values["lr"] * values["rest_rate"], "weight_decay": values["weight_decay"]}


_BASES: dict[str, type[TorchRule]] = {"Muon": MuonRule}
"""Base classes of torch optimizers that need more than their constructor."""


def build_rule(
    signature: Signature,
    name: str,
    label: str,
    group: str,
    order: int,
    description: Description | None,
    base: type[TorchRule] = TorchRule,
) -> type[TorchRule]:
    """Build the component class of an optimizer.

    Args:
        signature: its constructor.
        name: name in files and flags.
        label: name in the picker.
        group: heading in the picker.
        order: rank in the picker.
        description: texts of its page; None for optimizers of other packages.
        base: its base class; one of torch may have another.

    Raises:
        UnsupportedOptimizer: an argument without a default cannot be a field.
    """
    known = signature.module.startswith("torch.optim")
    base = _BASES.get(signature.cls, base) if known else base
    reserved = frozenset(dir(base))
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
            raise UnsupportedOptimizer(
                f"its argument '{argument.name}' has no default that a form could show."
            )
        else:
            fixed.append(argument.name)
    extra = {field: both for field, both in base.extra.items() if field not in annotations}
    annotations |= {field: annotation for field, (annotation, _) in extra.items()}
    declarations |= {field: declaration for field, (_, declaration) in extra.items()}
    body: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": f"Torch{signature.cls}",
        "__doc__": _docstring(signature, group, description, fixed),
        "__annotations__": annotations,
        "name": name,
        "label": label,
        "group": group,
        "sort_order": order,
        "rule": description.rule if description is not None else (),
        "symbols": dict(description.symbols) if description is not None else {},
        "source": description.source
        if description is not None
        else f"The class {signature.cls} of {group}.",
        "signature": signature,
        "bindings": tuple(bindings),
        "torch_arguments": {
            binding.argument: binding.fields for binding in bindings if binding.bundled
        },
        **declarations,
    }
    return type(f"Torch{signature.cls}", (base,), body)


def _docstring(
    signature: Signature, group: str, description: Description | None, fixed: Sequence[str]
) -> str:
    if description is not None:
        paragraphs = [description.sentence, description.explanation]
    else:
        paragraphs = [
            f"The optimizer {signature.cls} of {group}.",
            f"Its fields are the arguments of its constructor; see {group} for their meaning and"
            " for the rule.",
        ]
    # Arguments of the algorithm first, then those of the implementation.
    ordered = sorted(fixed, key=lambda argument: argument in FIXED)
    execution = (
        f"The steps are computed by {signature.module}.{signature.cls} itself, one run at a time."
    )
    if ordered:
        execution += f" These arguments keep their defaults: {', '.join(ordered)}."
    return "\n\n".join([*(part for part in paragraphs if part), execution])


@functools.lru_cache(maxsize=8)
def _one_tensor(size: int) -> Layout:
    """Return a layout of a single tensor, for parameters of which only the number is known."""
    return Layout((Parameter("theta", (size,), "weight", size, size),))


# Optimizers write into their parameters, so threads must not share them.
_thread = threading.local()


def _cache() -> dict[tuple[Any, ...], tuple[Any, Population]]:
    if not hasattr(_thread, "cache"):
        _thread.cache = {}
    cache: dict[tuple[Any, ...], tuple[Any, Population]] = _thread.cache
    return cache


def forget(cls: type[TorchRule]) -> None:
    """Release the optimizers of a rule that this thread keeps for the next step."""
    cache = _cache()
    for key in [key for key in cache if key[0] is cls]:
        del cache[key]
