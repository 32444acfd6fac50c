"""A recorded computation that is executed again on the memory of its recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.traced_number import NotRepeatable
from optlab.training.capturing.calls import planned
from optlab.training.capturing.trace import ALLOCATIONS, CONSTANTS, Call, memory_of


def repeated_calls(calls: Sequence[Call], given: Iterable[torch.Tensor]) -> list[Callable[[], Any]]:
    """Return what executes calls again, each on the tensors that it had.

    Views, new memory and constants stay as they are. Results are those of ordinary calls, bit for
    bit, wherever torch computes the same into given memory; who repeats compares them.

    Args:
        calls: a recording, whose tensors are alive. given: tensors of any shape that it does not
            compute, such as its inputs.

    Raises:
        NotRepeatable: a call writes to a tensor that the calls do not make.
    """
    written = {memory_of(tensor) for call in calls for tensor in call.written()}
    known = {memory_of(tensor) for tensor in given}
    own: set[int] = set()
    functions: list[Callable[[], Any]] = []
    for number, call in enumerate(calls):
        # The result of a call that changes or views an older tensor is not new memory.
        known.update(map(memory_of, call.read()))
        new = {memory_of(tensor) for tensor in call.results} - known
        if not new and not call.mutates:
            continue
        known |= new
        own |= new
        constant = call.name in CONSTANTS and not new & written
        if call.name not in ALLOCATIONS and not constant:
            functions.append(planned(number, call, _itself, {}, {}).function)
    if not written <= own:
        raise NotRepeatable("a tensor is written to that is not the computation's own")
    return functions


def copy_of(given: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same shape, strides and values that stays; see :func:`refill`."""
    copy = torch.empty_strided(given.size(), given.stride(), dtype=given.dtype)
    refill(copy, given)
    return copy


def refill(copy: torch.Tensor, given: torch.Tensor) -> None:
    """Copy values of any shape to a tensor that lies in memory as they do.

    Where values are repeated along an axis without being stored again, they are copied once.
    """
    for axis, stride in enumerate(given.stride()):
        if stride == 0 and given.shape[axis] > 1:
            copy, given = copy.narrow(axis, 0, 1), given.narrow(axis, 0, 1)
    copy.copy_(given)


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
