"""Calls of a recording as torch executes them on memory that stays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.training.capturing.native.operands import Planned
from optlab.training.capturing.trace import Call, replaced, tensors

_ARITHMETIC = frozenset({"mul", "mul_", "div", "div_", "add", "add_", "sub", "sub_"})
_COPIES = frozenset({"clone", "_to_copy", "lift_fresh_copy"})

Make = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class _Numbered:
    """A call with numbers that differ from step to step.

    Attributes:
        positions, names: position or keyword → index of the number in ``values``.
    """

    values: Mapping[int, float]
    function: Callable[..., Any]
    arguments: list[Any]
    keywords: dict[str, Any]
    positions: dict[int, int]
    names: dict[str, int]

    def __call__(self) -> None:
        for position, index in self.positions.items():
            self.arguments[position] = self.values[index]
        for name, index in self.names.items():
            self.keywords[name] = self.values[index]
        self.function(*self.arguments, **self.keywords)


def planned(
    number: int,
    call: Call,
    make: Make,
    numbers: Mapping[int | str, int],
    values: Mapping[int, float],
) -> Planned:
    """Return a call of a recording on the memory that ``make`` gives its tensors.

    Args:
        number: of the call in the recording.
        numbers: position or keyword → index in ``values``, of what differs from step to step.
    """
    function, extra = _function(call, make)
    arguments = [replaced(argument, make) for argument in call.arguments]
    keywords = {name: replaced(value, make) for name, value in call.keywords.items()}
    results = tuple(make(result) for result in call.results)
    return Planned(
        number,
        call,
        tuple(arguments),
        keywords,
        results,
        numbers,
        _bound(call, function, arguments, keywords | extra, results, (numbers, values)),
    )


def _bound(
    call: Call,
    function: Callable[..., Any],
    arguments: list[Any],
    keywords: dict[str, Any],
    results: Sequence[torch.Tensor],
    changing: tuple[Mapping[int | str, int], Mapping[int, float]],
) -> Callable[[], Any]:
    """Return what executes a call by torch on memory that stays."""
    numbers, values = changing
    if call.name in _COPIES:
        function, arguments, keywords = torch.Tensor.copy_, [results[0], arguments[0]], {}
    if numbers:
        positions = {where: index for where, index in numbers.items() if isinstance(where, int)}
        names = {where: index for where, index in numbers.items() if isinstance(where, str)}
        return _Numbered(values, function, list(arguments), keywords, positions, names)
    if (
        call.name in _ARITHMETIC
        and call.operation._overloadname == "Tensor"
        and isinstance(arguments[1], (int, float))
        and call.results[0].is_floating_point()
    ):
        # As torch does itself at every call.
        number = torch.tensor(arguments[1], dtype=call.results[0].dtype)
        arguments = [arguments[0], number, *arguments[2:]]
    return functools.partial(function, *arguments, **keywords)


def _function(call: Call, make: Make) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what executes a call, and the keywords that say where its results go.

    The functions of torch are called rather than its operations, which take longer.
    """
    name = call.name
    if call.mutates:
        if name.endswith("_") and hasattr(torch.Tensor, name):
            return getattr(torch.Tensor, name), {}
        function = getattr(torch, name, None)
        if function is not None and "out" in call.keywords:
            copy = {**call.keywords, "out": _scratch(call.keywords["out"])}
            if _accepts(function, call.arguments, copy):
                return function, {}
        return call.operation, {}
    if name in _COPIES:
        return torch.Tensor.copy_, {}
    if name == "relu":  # which is computed so, but takes no place for its result
        return _clamped, {"out": make(call.results[0])}
    linalg: Any = getattr(torch._C, "_linalg", None)
    given = _with_out(call)
    if given is not None and len(call.results) == 1:
        operation, out = given
        function = getattr(torch, name, getattr(linalg, name, None))
        if (
            function is not None
            and out == "out"
            and _accepts(
                function, call.arguments, {**call.keywords, "out": _scratch(call.results[0])}
            )
        ):
            return function, {"out": make(call.results[0])}
        return operation, {out: make(call.results[0])}
    into = [make(result) for result in call.results]
    return functools.partial(_copied, call.operation, into), {}


def _clamped(x: torch.Tensor, *, out: torch.Tensor) -> None:
    torch.clamp_min(x, 0, out=out)


def _copied(
    operation: Callable[..., Any], into: list[torch.Tensor], *arguments: Any, **keywords: Any
) -> None:
    """Execute what takes no place for its results, and copy them."""
    for target, result in zip(into, tensors(operation(*arguments, **keywords)), strict=True):
        target.copy_(result)


def _with_out(call: Call) -> tuple[Any, str] | None:
    """Return the overload that writes the result of a call to a given tensor, and its keyword.

    None where there is none, or where torch has one that copies.
    """
    wanted = [(one.name, str(one.type)) for one in call.operation._schema.arguments]
    packet = call.operation.overloadpacket
    for name in packet.overloads():
        overload = getattr(packet, name)
        given = overload._schema.arguments
        outs = [one.name for one in given if one.is_out]
        rest = [(one.name, str(one.type)) for one in given if not one.is_out]
        if (
            len(outs) == 1
            and rest == wanted
            and (
                call.name == "stack"
                or torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "CPU")
            )
        ):
            return overload, outs[0]
    return None


def _scratch(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype)


def _accepts(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> bool:
    """Return whether a function takes the arguments of an operation."""
    try:
        function(*arguments, **keywords)
    except (TypeError, RuntimeError):
        return False
    return True
