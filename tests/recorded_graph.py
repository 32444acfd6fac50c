"""A graph for devices without graphs: the operations of a function, executed again on its memory.

Like a CUDA graph it calls no Python of the function, reads what is in the memory that the function
read, and leaves results where the function left them.
"""

from __future__ import annotations

import torch

from optlab.training.capturing.graph import Function
from optlab.training.capturing.trace import Call, recorded, tensors


class RecordedGraph:
    tolerance = 0.0

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def capture(self, function: Function) -> list[torch.Tensor]:
        function()
        with recorded() as calls:
            results = function()
        for call in calls:
            if call.name == "lift_fresh" and call.results[0].dim():
                raise RuntimeError("values of the host are copied while a graph is captured")
        self._calls = calls
        return results

    def replay(self) -> None:
        with torch._C._AutoDispatchBelowAutograd():
            for call in self._calls:
                again = tensors(call.operation(*call.arguments, **call.keywords))
                for result, new in zip(call.results, again, strict=True):
                    if result is not new:
                        result.copy_(new)
