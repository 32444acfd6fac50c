"""Whatever a foreign optimizer holds: tensors and numbers in dictionaries, lists and objects.

An optimizer of another package keeps its state where it likes: nested in the dictionaries of its
parameters, in attributes, in objects of its own, in an optimizer that it wraps. This module walks
through all of it and yields the *leaves*, so that what changes can be copied out and back in.
"""

from __future__ import annotations

import enum
import random
import types
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.catalogue.optimizers._bridge.containers import Owner
from optlab.core.lazy import torch

Path = tuple[Owner, str]
"""Owner of an entry, and the keys that lead to it, joined by slashes."""

_DEPTH = 12
_BELONGS_TO_TORCH = ("_optimizer_", "_zero_grad_profile_name", "_hook_for_profile", "defaults")
_ATOMS = (
    enum.Enum,
    str,
    bytes,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
)


@dataclass(frozen=True)
class Leaf:
    """A value without parts.

    Attributes:
        path: where it is.
        holder: the dictionary, list, deque, tuple or object that has it.
        key: its key, index or attribute there.
        value: a tensor, a number, None, or what is neither.
    """

    path: Path
    holder: Any
    key: Any
    value: Any

    def set(self, value: Any) -> bool:
        """Put a value in its place; return False where the holder cannot change."""
        if isinstance(self.holder, tuple):
            return False
        if isinstance(self.holder, dict | list | deque):
            self.holder[self.key] = value
        else:
            object.__setattr__(self.holder, self.key, value)
        return True

    def remove(self) -> None:
        """Take it out of its holder; the items of a list are taken from its end."""
        if isinstance(self.holder, dict):
            self.holder.pop(self.key, None)
        elif isinstance(self.holder, list | deque):
            if len(self.holder) > self.key:
                del self.holder[self.key]
        elif not isinstance(self.holder, tuple) and hasattr(self.holder, self.key):
            object.__delattr__(self.holder, self.key)


class Walk:
    """A walk through the optimizers of a run.

    Args:
        optimizers: the optimizers.
        names: ``id`` of each parameter → its name.

    Attributes:
        leaves: what was found, in order.
        generators: the random generators among it, which a run seeds anew at every step.
        states: name of a parameter, the dictionary that has its state, and its key there.
    """

    def __init__(
        self, optimizers: Sequence[torch.optim.Optimizer], names: Mapping[int, str]
    ) -> None:
        self.leaves: list[Leaf] = []
        self.generators: list[Any] = []
        self.states: list[tuple[Owner, dict[Any, Any], Any]] = []
        self._names = names
        self._seen: set[int] = set(names)
        self._waiting = list(optimizers)
        self._optimizers: list[Any] = list(optimizers)
        groups = 0
        for number, optimizer in enumerate(self._optimizers):  # grows by those that are wrapped
            self._seen.add(id(optimizer))
            self._seen.add(id(optimizer.param_groups))
            for group in optimizer.param_groups:
                if id(group) not in self._seen:
                    self._group(group, groups)
                    groups += 1
            self._state(optimizer.state, f"self.{number}")
            for name, value in list(vars(optimizer).items()):
                if not name.startswith(_BELONGS_TO_TORCH):
                    self._visit((f"self.{number}", name), vars(optimizer), name, value, 0)

    def _group(self, group: dict[str, Any], number: int) -> None:
        self._seen.add(id(group))
        for key, value in list(group.items()):
            if key not in ("params", "param_names"):
                self._visit((f"group.{number}", str(key)), group, key, value, 0)

    def _state(self, state: Any, owner: Owner) -> None:
        if not isinstance(state, dict) or id(state) in self._seen:
            return
        self._seen.add(id(state))
        for parameter, entries in list(state.items()):
            name = self._name_of(parameter)
            if name is None:
                self._visit((owner, f"state/{_text(parameter)}"), state, parameter, entries, 1)
            elif isinstance(entries, dict) and id(entries) not in self._seen:
                self._seen.add(id(entries))
                self.states.append((name, state, parameter))
                for key, value in list(entries.items()):
                    self._visit((name, str(key)), entries, key, value, 0)

    def _name_of(self, key: Any) -> str | None:
        """Return the name of the parameter that a key is, or is the ``id`` of; None for others."""
        return self._names.get(key if type(key) is int else id(key))

    def _visit(self, path: Path, holder: Any, key: Any, value: Any, depth: int) -> None:
        if isinstance(value, enum.Enum):
            return
        if value is None or isinstance(value, bool | int | float | complex | np.generic):
            self.leaves.append(Leaf(path, holder, key, value))
            return
        if id(value) in self._seen:
            return
        if isinstance(value, torch.Tensor):
            self._seen.add(id(value))
            self.leaves.append(Leaf(path, holder, key, value))
        elif isinstance(value, str):
            self.leaves.append(Leaf(path, holder, key, value))
        elif isinstance(
            value, random.Random | torch.Generator | np.random.Generator | np.random.RandomState
        ):
            self._seen.add(id(value))
            self.generators.append(value)
        elif isinstance(value, torch.optim.Optimizer):
            self._optimizers.append(value)
        elif depth < _DEPTH:
            for name, part, own, inside in self._parts(value):
                self._visit((path[0], f"{path[1]}/{name}"), inside, own, part, depth + 1)

    def _parts(self, value: Any) -> Iterator[tuple[str, Any, Any, Any]]:
        """Yield name, value, key and holder of the parts of a container or object."""
        self._seen.add(id(value))
        if isinstance(value, Mapping):
            for key, part in list(value.items()):
                yield self._name_of(key) or _text(key), part, key, value
        elif isinstance(value, list | tuple | deque):
            for index, part in enumerate(value):
                yield str(index), part, index, value
        elif _has_own_attributes(value):
            for name, part in list(vars(value).items()):
                yield name, part, name, value


def _has_own_attributes(value: Any) -> bool:
    if isinstance(value, _ATOMS) or not hasattr(value, "__dict__"):
        return False
    return type(value).__module__.partition(".")[0] not in (
        "torch",
        "builtins",
        "enum",
        "functools",
    )


def _text(key: Any) -> str:
    return str(key) if isinstance(key, str | int | float | bool) else type(key).__name__
