"""Entries of the state of a foreign optimizer: what they are, into a tensor, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from optlab.catalogue.optimizers._bridge.containers import same
from optlab.catalogue.optimizers._bridge.execution import Slot
from optlab.catalogue.optimizers._bridge.tree import Leaf, Path
from optlab.core.lazy import torch

ABSENT, VALUE, NONE, INT, BOOL, TENSOR, ONE = range(7)
"""Codes of an entry: missing, of the type and shape of its slot, None, a number of another type, a
tensor without an axis, a tensor of one value with an axis.
"""
_SINGLE = ((), (1,))
"""Shapes of one value, between which operations with broadcasting change."""


class Unstorable(Exception):
    """Raised for an entry that no tensor can hold; the message completes "…, which"."""


def example(value: Any) -> Any:
    """Return what a value is: shape, type and device of a tensor, or the type of a number."""
    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.dtype, value.device.type
    return type(value.item()) if isinstance(value, np.generic) else type(value)


def slot_of(path: Path, examples: Iterable[Any], device: torch.device) -> Slot:
    """Return the slot of an entry, from examples of its values on a ``device`` of the parameters.

    Raises:
        Unstorable: no tensor can hold all of them.
    """
    owner, key = path
    values = set(examples) - {None}
    tensors = {value for value in values if isinstance(value, tuple)}
    numbers = {value for value in values if isinstance(value, type)}
    shapes = {(shape, dtype) for shape, dtype, _ in tensors}
    single = all(shape in _SINGLE for shape, _ in shapes)
    changes = len({dtype for _, dtype in shapes}) > 1 or (len(shapes) > 1 and not single)
    if changes or (numbers and not single):
        raise Unstorable("changes its shape or type from step to step")
    if not numbers <= {bool, int, float}:
        raise Unstorable(f"is a {next(iter(numbers - {bool, int, float})).__name__}")
    if tensors and not numbers:
        shape, dtype = min(shapes, key=lambda one: len(one[0]))
        host = device.type != "cpu" and {kind for _, _, kind in tensors} == {"cpu"}
        return Slot(owner, key, shape, dtype, None, host, False)
    number = next(iter(numbers)) if len(numbers) == 1 and not tensors else float
    real = torch.float32 if device.type == "mps" else torch.float64
    dtype = {bool: torch.bool, int: torch.int64, float: real}[number]
    return Slot(owner, key, (), dtype, number, True, False)


def keep(slot: Slot, value: Any, view: torch.Tensor) -> int:
    """Copy a value into its place in a buffer, a view ``[*shape]`` of the shape of its slot.

    Returns:
        The code of its kind.

    Raises:
        Unstorable: it is not what the entry was in the trial steps.
    """
    if value is None:
        return NONE
    if isinstance(value, str):
        return ABSENT
    if isinstance(value, torch.Tensor):
        other = value.shape != view.shape
        if other and not (value.shape in _SINGLE and view.shape in _SINGLE):
            raise Unstorable("changed its shape or type during a run")
        if slot.number is None and value.dtype != view.dtype:
            raise Unstorable("changed its shape or type during a run")
        view.copy_(value.detach().reshape(view.shape))
        if slot.number is None and not other:
            return VALUE
        return ONE if value.ndim else TENSOR
    if slot.number is None:
        raise Unstorable("changed from a tensor to a number during a run")
    view.fill_(value)
    kind = example(value)
    return VALUE if kind is slot.number else {int: INT, bool: BOOL}.get(kind, VALUE)


def stored(slot: Slot, code: int, view: torch.Tensor, dtype: torch.dtype) -> Any:
    """Return a value as it was kept in a view ``[*shape]``.

    Args:
        slot: of the entry. code: of the kind of the value. view: its place in the buffer.
        dtype: of tensors that stand for numbers.
    """
    if code == NONE:
        return None
    if code in (TENSOR, ONE):
        shape = (1,) if code == ONE else ()
        return view.to(view.dtype if slot.number is None else dtype).reshape(shape).clone()
    if slot.number is None:
        return view.clone()
    return {INT: int, BOOL: bool}.get(code, slot.number)(view.item())


def put(leaf: Leaf, value: Any) -> bool:
    """Put a value in its place; return False if that is not possible.

    A tensor is copied into the one that is there if it fits, since others may share it.
    """
    there = leaf.value
    if (
        isinstance(there, torch.Tensor)
        and isinstance(value, torch.Tensor)
        and there.shape == value.shape
    ):
        with torch.no_grad():
            there.detach().copy_(value)
        return True
    if isinstance(leaf.holder, tuple) and same(there, value):
        return True
    return leaf.set(value)
