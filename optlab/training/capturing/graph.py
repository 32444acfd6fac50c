"""Graphs: what a function computes on a device, launched again as a whole.

The launches of a step of a small network take a GPU longer than its arithmetic. A graph has them
recorded, and is launched at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from optlab.core.lazy import torch

Function = Callable[[], "list[torch.Tensor]"]
"""Computes tensors from memory that stays, without reading from the device."""

_WARM_UPS = 3
"""Calls before a capture, as torch's documentation has it: libraries choose their kernels in them."""


class Graph(Protocol):
    """One function, captured and replayed.

    Attributes:
        tolerance: by which a replay may differ from the function itself, relative to the largest
            value of a tensor.
    """

    tolerance: float

    def capture(self, function: Function) -> list[torch.Tensor]:
        """Return the tensors, of any shape, in which each replay leaves its results.

        Raises:
            RuntimeError: the function cannot be captured.
        """

    def replay(self) -> None:
        """Compute the results again, from what is in the memory that the function reads."""


class CudaGraph:
    """A CUDA graph, with memory of its own.

    It follows torch's documentation and has not been run: there was no GPU where it was written.
    What is captured was, on a simulated device (``tests/simulated_device.py``). Blocks are compared
    with ordinary steps before they are used.
    """

    tolerance = 1e-6

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def capture(self, function: Function) -> list[torch.Tensor]:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                function()
        torch.cuda.current_stream().wait_stream(beside)
        # Other threads may use the device for runs of their own.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            return function()

    def replay(self) -> None:
        self._graph.replay()


GRAPHS: dict[str, Callable[[], Graph]] = {"cuda": CudaGraph}
"""Device → what makes graphs of its operations."""
