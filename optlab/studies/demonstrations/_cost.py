"""Time and memory of one gradient, and a fit that separates fixed cost from cost per example."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.lazy import torch
from optlab.studies.demonstrations._noise import interval
from optlab.studies.demonstrations.base import Array, numbers

MAX_DEVIATION = 0.25
"""Relative deviation of the measured times from the line above which it is not supported."""
_RESAMPLED = 400
_MIN_SECONDS = 0.002
"""Minimum duration of one measurement in seconds; the work is repeated until it is reached."""


def seconds(work: Callable[[], object], device: str, repetitions: int) -> Array:
    """Return times of one call of ``work`` in seconds, ``[repetitions]``, after a warm-up."""
    for _ in range(2):
        work()
    times: list[float] = []
    calls = 1
    while len(times) < repetitions:
        _wait(device)
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        _wait(device)
        spent = time.perf_counter() - begin
        if spent < _MIN_SECONDS and not times:
            calls = max(calls + 1, int(calls * _MIN_SECONDS / max(spent, 1e-7)) + 1)
            continue
        times.append(spent / calls)
    return numbers(times)


def peak_bytes(work: Callable[[], object], device: str) -> float:
    """Return the peak number of bytes that one call of ``work`` allocates.

    On an NVIDIA or AMD GPU it is read from torch's allocator, which includes the workspace of
    operations; elsewhere the results of the operations that are alive at once are added up, without
    such workspace.
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
        """Adds up the storage of those results of operations that are still alive."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.held: dict[int, tuple[Any, int]] = {}
            self.peak = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            inputs = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs or {}))}
            self.held = {key: held for key, held in self.held.items() if not held[0].expired()}
            for tensor in _tensors(result):
                storage = tensor.untyped_storage()
                # A view, or a result written in place, has no storage of its own.
                if storage._cdata not in inputs:
                    self.held[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
            self.peak = max(self.peak, sum(size for _, size in self.held.values()))
            return result

    with Watching() as watching:
        work()
    return float(watching.peak)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in the inputs or the results of an operation."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def fitted(m: Array, cost: Array) -> tuple[float, float]:
    """Return a and b, both nonnegative, of the line ``a + b m`` through the costs.

    It is the line with the least squared relative error. a is the fixed cost of a batch, b the
    cost per example; they are equal at ``m = a / b``. Shapes: ``m`` and ``cost`` ``[S]``.
    """
    rows = np.stack([1.0 / cost, m / cost], axis=1)
    (a, b), *_ = np.linalg.lstsq(rows, np.ones(len(m)), rcond=None)
    if a >= 0.0 and b >= 0.0:
        return float(a), float(b)
    # With two unknowns the constrained optimum lies on one of the two edges.
    alone = [float(row.sum() / (row @ row)) for row in rows.T]
    errors = [
        float(np.square(1.0 - value * row).sum()) for value, row in zip(alone, rows.T, strict=True)
    ]
    return (alone[0], 0.0) if errors[0] <= errors[1] else (0.0, alone[1])


@dataclass(frozen=True)
class CostFit:
    """The line ``a + b m`` through the median times of batches of sizes m.

    Attributes:
        a, b: fixed cost and cost per example. bend: a/b, where the two are equal.
        a_interval, b_interval, bend_interval: 95% intervals, from resampling the repetitions.
        deviation: root mean square of the relative deviations of the medians from the line.
        scatter: median over the sizes of the relative interquartile range of the repetitions.
    """

    a: float
    b: float
    a_interval: tuple[float, float]
    b_interval: tuple[float, float]
    bend_interval: tuple[float, float]
    deviation: float
    scatter: float

    @property
    def bend(self) -> float:
        return self.a / self.b if self.b > 0.0 else math.inf

    @property
    def problem(self) -> str:
        """Why the times do not support the line; "" if they do."""
        if self.deviation > MAX_DEVIATION:
            return (
                f"the medians deviate from it by {self.deviation:.0%} in the root mean square, and "
                f"single measurements scatter by {self.scatter:.0%}"
            )
        if self.a_interval[0] <= 0.0 or self.b_interval[0] <= 0.0:
            part = "fixed cost" if self.a_interval[0] <= 0.0 else "cost per example"
            return f"the interval of the {part} includes zero"
        return ""


def cost_fit(m: Array, times: Array, rng: np.random.Generator) -> CostFit:
    """Return the fit to ``times`` ``[S, K]``, K repetitions for each of the sizes ``m`` ``[S]``."""
    median = np.median(times, axis=1)
    a, b = fitted(m, median)
    again = []
    for _ in range(_RESAMPLED):
        index = rng.integers(0, times.shape[1], times.shape)
        again.append(fitted(m, np.median(np.take_along_axis(times, index, axis=1), axis=1)))
    fixed, each = numbers(again).T
    bends = np.divide(fixed, each, out=np.full(len(again), np.inf), where=each > 0.0)
    low, middle, high = np.percentile(times, [25.0, 50.0, 75.0], axis=1)
    return CostFit(
        a,
        b,
        interval(fixed),
        interval(each),
        interval(bends),
        float(np.sqrt(np.square((a + b * m) / median - 1.0).mean())),
        float(np.median((high - low) / middle)),
    )


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def powers_of_two(largest: int) -> Array:
    """Return 1, 2, 4, … up to ``largest``, ``[S]``."""
    return numbers(2 ** np.arange(int(np.log2(largest)) + 1))
