"""What one gradient costs in time and memory, and the two parts of it that a fit tells apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from optlab.core.lazy import torch
from optlab.studies.demonstrations.base import Array, numbers

_LONG_ENOUGH = 0.002
"""Seconds that one measurement takes at least: the work is repeated until it does."""


def seconds(work: Callable[[], object], device: str, repetitions: int) -> float:
    """Median time of one call of ``work``, after calls that nobody times."""
    for _ in range(2):
        work()
    found: list[float] = []
    calls = 1
    while len(found) < repetitions:
        _wait(device)
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        _wait(device)
        spent = time.perf_counter() - begin
        if spent < _LONG_ENOUGH and not found:
            calls = max(calls + 1, int(calls * _LONG_ENOUGH / max(spent, 1e-7)) + 1)
            continue
        found.append(spent / calls)
    return statistics.median(found)


def peak_bytes(work: Callable[[], object], device: str) -> float:
    """Largest number of bytes that one call of ``work`` holds at once beside what was there before,
    without what is in use inside of an operation.

    On an NVIDIA or AMD GPU torch's allocator tells, and counts that, too; elsewhere the results of
    the operations are added up.
    """
    work()
    if device == "cuda":
        _wait(device)
        before = int(torch.cuda.memory_allocated())
        torch.cuda.reset_peak_memory_stats()
        work()
        _wait(device)
        return float(int(torch.cuda.max_memory_allocated()) - before)
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watching(TorchDispatchMode):
        """Adds up what the results of operations hold that are still there."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.held: dict[int, tuple[Any, int]] = {}
            self.peak = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            found = func(*args, **(kwargs or {}))
            given = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs or {}))}
            self.held = {key: held for key, held in self.held.items() if not held[0].expired()}
            for tensor in _tensors(found):
                storage = tensor.untyped_storage()
                # a view, or a result written in place, holds nothing of its own
                if storage._cdata not in given:
                    self.held[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
            self.peak = max(self.peak, sum(size for _, size in self.held.values()))
            return found

    with Watching() as watching:
        work()
    return float(watching.peak)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in what an operation takes or gives."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def fitted(m: Array, cost: Array) -> tuple[float, float]:
    """``(a, b)``, neither below zero, of the line ``a + b m`` through costs ``[S]`` of batches of
    sizes ``m``, with the least squared relative error.

    a is what a batch costs whatever its size, b what each example adds; the two are alike at ``m =
    a / b``.
    """
    rows = np.stack([1.0 / cost, m / cost], axis=1)
    (a, b), *_ = np.linalg.lstsq(rows, np.ones(len(m)), rcond=None)
    if a >= 0.0 and b >= 0.0:
        return float(a), float(b)
    # Two unknowns: the best of the two edges.
    alone = [float(row.sum() / (row @ row)) for row in rows.T]
    errors = [
        float(np.square(1.0 - value * row).sum()) for value, row in zip(alone, rows.T, strict=True)
    ]
    return (alone[0], 0.0) if errors[0] <= errors[1] else (0.0, alone[1])


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def powers_of_two(largest: int) -> Array:
    """1, 2, 4, … up to ``largest``."""
    return numbers(2 ** np.arange(int(np.log2(largest)) + 1))
