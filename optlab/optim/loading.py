"""State dicts that are loaded: an optimizer's own, or that of the torch optimizer it equals.

Whatever would make the next step wrong or impossible is refused here, before anything is changed:
the state of another optimizer, missing entries, tensors of other shapes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.core import registry
from optlab.core.fields import shown

MARK = "optimizer"
"""Entry of a state dict that names the class which wrote it."""
STEP = "step"
"""Entry of a parameter's state that counts its steps."""

_IMPLEMENTATION = frozenset(
    {"maximize", "capturable", "differentiable", "fused", "decoupled_weight_decay"}
)
"""Arguments of torch's optimizers that some versions lack."""
_BOOKKEEPING = frozenset({"params", "param_names", "initial_lr", "max_lr", "min_lr"})
"""Entries of a group that are no arguments: torch's own and those of schedulers."""

Shapes = Mapping[str, tuple[int, ...]]
Expected = Callable[[Mapping[str, Any], int, torch.Tensor], tuple[Shapes, Shapes] | None]
"""``(group, index in it, parameter)`` → required and optional entries of the parameter's state.

None where the parameter has no state of its own.
"""


def own_state(
    rule: type[Rule],
    state_dict: Mapping[str, Any],
    groups: list[dict[str, Any]],
    arguments: Mapping[str, Any],
    check: Callable[[Mapping[str, Any]], None],
    expected: Expected,
) -> dict[str, Any]:
    """Return a state dict that the optimizer of a rule can load, or refuse it.

    Args:
        rule: the rule.
        state_dict: what is loaded; it is not changed.
        groups: parameter groups of the optimizer.
        arguments: arguments of its class, with their defaults.
        check: validates the values of a group.
        expected: shapes of the state of a parameter.

    Raises:
        ValueError: the state is not one of this optimizer and cannot be translated; the sentence
            says why.
    """
    name = rule.__name__
    loaded = _structure(name, state_dict)
    mark = state_dict.get(MARK)
    if mark is None and any(set(group) - _BOOKKEEPING != set(arguments) for group in loaded):
        state_dict, loaded = _translated(rule, state_dict, loaded, arguments)
    elif mark is not None and mark != name:
        raise ValueError(
            f"{name}: the state is one of optlab.optim.{mark}, and only that class can continue it."
        )
    _check_groups(name, loaded, groups)
    complete = []
    for own, group in zip(groups, loaded, strict=True):
        if "lr" in arguments and "lr" not in group:
            raise ValueError(f"{name}: a parameter group of the state has no 'lr'.")
        # States saved before an argument was introduced take its default.
        values = {**group, **{key: arguments[key] for key in arguments if key not in group}}
        if "fused" in arguments:
            # How steps are computed is no part of the state, and the machine may be another one.
            values["fused"] = own["fused"]
        check(values)
        complete.append(values)
    _check_state(name, state_dict["state"], complete, groups, expected)
    # Steps change the tensors in place, and those of the optimizer that saved them must stay.
    return {**state_dict, "state": _copied(state_dict["state"]), "param_groups": complete}


def _copied(value: Any) -> Any:
    """Return nested dictionaries with copies of all tensors."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    return value


def _structure(name: str, state_dict: Any) -> list[dict[str, Any]]:
    """Return the groups of a state dict after checking its outer form."""
    if not isinstance(state_dict, Mapping):
        raise ValueError(
            f"{name}: the state is a {type(state_dict).__name__}, but it must be what state_dict()"
            " returned."
        )
    for key, kind in (("state", Mapping), ("param_groups", list)):
        if not isinstance(state_dict.get(key), kind):
            raise ValueError(
                f"{name}: the state has no '{key}'; it must be what state_dict() returned."
            )
    for group in state_dict["param_groups"]:
        if not isinstance(group, dict) or not isinstance(group.get("params"), list):
            raise ValueError(
                f"{name}: a parameter group of the state has no list 'params'; it must be what"
                " state_dict() returned."
            )
    loaded: list[dict[str, Any]] = state_dict["param_groups"]
    return loaded


def _check_groups(name: str, loaded: list[dict[str, Any]], groups: list[dict[str, Any]]) -> None:
    if len(loaded) != len(groups):
        raise ValueError(
            f"{name}: the state has {len(loaded)} parameter groups, but the optimizer has"
            f" {len(groups)}."
        )
    for number, (theirs, ours) in enumerate(zip(loaded, groups, strict=True)):
        if len(theirs["params"]) != len(ours["params"]):
            raise ValueError(
                f"{name}: parameter group {number} of the state has {len(theirs['params'])}"
                f" parameters, but that of the optimizer has {len(ours['params'])}."
            )


def _check_state(
    name: str,
    state: Mapping[Any, Any],
    loaded: list[dict[str, Any]],
    groups: list[dict[str, Any]],
    expected: Expected,
) -> None:
    """Refuse entries that the next step of a parameter could not use."""
    unknown = set(state) - {key for group in loaded for key in group["params"]}
    if unknown:
        raise ValueError(
            f"{name}: the state has entries for parameters that are in none of its groups:"
            f" {', '.join(sorted(map(str, unknown)))}."
        )
    for theirs, ours in zip(loaded, groups, strict=True):
        for index, (key, parameter) in enumerate(
            zip(theirs["params"], ours["params"], strict=True)
        ):
            if state.get(key):
                where = f"{name}: parameter {key} of the state"
                entries = expected(theirs, index, parameter)
                if entries is None:
                    raise ValueError(f"{where} has entries, but this optimizer keeps none for it.")
                _check_entries(where, state[key], *entries)


def _check_entries(where: str, entries: Any, required: Shapes, optional: Shapes) -> None:
    if not isinstance(entries, Mapping):
        raise ValueError(f"{where} is a {type(entries).__name__}, but it must be a dict.")
    missing = [entry for entry in (STEP, *required) if entry not in entries]
    foreign = [str(entry) for entry in entries if entry not in {STEP, *required, *optional}]
    if missing or foreign:
        parts = [f"has no {_listed(missing)}"] if missing else []
        parts += [f"has {_listed(foreign)}, which is unknown"] if foreign else []
        raise ValueError(f"{where} {' and '.join(parts)}; it is not a state of this optimizer.")
    if _count(entries[STEP]) is None:
        raise ValueError(f"{where} has the step {shown(entries[STEP])}, but it must be a count.")
    for entry, shape in {**required, **optional}.items():
        if entry not in entries:
            continue
        value = entries[entry]
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{where} has {entry} = {shown(value)}, but it must be a tensor.")
        if tuple(value.shape) != tuple(shape):
            raise ValueError(
                f"{where} has '{entry}' of shape {list(value.shape)}, but here it must be of shape"
                f" {list(shape)}."
            )


def _count(step: Any) -> int | None:
    """Return a number of steps, or None if it is none."""
    if isinstance(step, torch.Tensor):
        if step.numel() != 1:
            return None
        step = step.item()
    if isinstance(step, bool) or not isinstance(step, int | float) or not math.isfinite(step):
        return None
    return int(step) if step >= 0 and step == int(step) else None


# --- states of torch's optimizers -----------------------------------------------------------------


def _translated(
    rule: type[Rule],
    state_dict: Mapping[str, Any],
    loaded: list[dict[str, Any]],
    arguments: Mapping[str, Any],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a state dict of torch's equal of a rule, translated, and its groups."""
    name, sources = rule.__name__, _sources(loaded)
    if not sources:
        raise ValueError(
            f"{name}: the state is neither one of optlab.optim.{name} nor one of an optimizer of"
            " torch: its parameter groups have other arguments."
        )
    reason = _reason(rule, sources, loaded)
    if reason:
        others = [other.__name__ for other in _rules() if not _reason(other, sources, loaded)]
        hint = f" Use optlab.optim.{' or '.join(others)}." if others else ""
        raise ValueError(f"{name}: the state is one of torch.optim.{sources[0]}, {reason}.{hint}")
    equal = rule.torch_state
    assert equal is not None
    groups = []
    for group in loaded:
        values = {key: value for key, value in group.items() if key in _BOOKKEEPING}
        for argument in arguments:
            theirs = equal.arguments.get(argument, argument)
            if argument in equal.values:
                values[argument] = equal.values[argument]
            elif theirs in group:
                values[argument] = group[theirs]
        groups.append(values)
    state = {}
    for key, entries in state_dict["state"].items():
        tensors = {
            ours: entries[theirs]
            for ours, theirs in equal.tensors.items()
            if isinstance(entries, Mapping) and entries.get(theirs) is not None
        }
        if tensors:
            # torch's SGD does not count its steps, and no rule that continues it needs them.
            count = _count(entries.get(STEP, 1))
            state[key] = {
                STEP: entries[STEP] if count is None else torch.tensor(count),
                **tensors,
            }
    return {"state": state, "param_groups": groups}, groups


def _reason(rule: type[Rule], sources: list[str], loaded: list[dict[str, Any]]) -> str:
    """Return why a rule cannot continue the state of a torch optimizer, or ""."""
    equal = rule.torch_state
    if equal is None or equal.optimizer not in sources:
        return f"whose rule is not that of {rule.__name__}"
    for group in loaded:
        for argument, value in equal.requires.items():
            if argument not in group:
                return f"which does not say its {argument}"
            if group[argument] != value:
                return (
                    f"whose {argument} is {shown(group[argument])}, but {rule.__name__} can only"
                    f" continue {shown(value)}"
                )
    return ""


def _sources(loaded: list[dict[str, Any]]) -> list[str]:
    """Return the torch optimizers whose groups have the arguments of these."""
    keys = {frozenset(set(group) - _BOOKKEEPING - _IMPLEMENTATION) for group in loaded}
    sources = [
        cls.__name__
        for cls in _optimizers_of_torch()
        if keys == {frozenset(inspect.signature(cls).parameters) - _IMPLEMENTATION - _BOOKKEEPING}
    ]
    decoupled = {bool(group.get("decoupled_weight_decay")) for group in loaded}
    if {"Adam", "AdamW"} <= set(sources) and decoupled == {True}:
        sources.reverse()
    return sources


def _optimizers_of_torch() -> Iterable[type]:
    for value in vars(torch.optim).values():
        if (
            inspect.isclass(value)
            and issubclass(value, torch.optim.Optimizer)
            and value is not torch.optim.Optimizer
        ):
            yield value


def _rules() -> list[type[Rule]]:
    return [
        component
        for component in registry.components("optimizer")
        if issubclass(component, Rule) and component.torch_state is not None
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
