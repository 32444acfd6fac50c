"""A recorded step as functions in C++, and calls of torch between them."""

from __future__ import annotations

import ctypes
import functools
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.compiled.compiler import compiled
from optlab.training.capturing.arena import Span
from optlab.training.capturing.native.operands import Planned
from optlab.training.capturing.native.sources import HEAD, Body, bodies
from optlab.training.capturing.native.translation import Translator
from optlab.training.capturing.trace import memory_of

ARGUMENTS: Sequence[Any] = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
"""Types of the arguments of :meth:`Body.source`."""

Calls = list[Callable[[], Any]]
Parts = Sequence[Sequence[Planned]]
"""The operations of a step until its loss is known, and those after."""


class NativeProgram:
    """The operations of a step, most of them in C++.

    Args:
        sides: the operations on the memory of each side. spans: memory that steps share → the first
            and the last operation that need it. batch: inputs and targets ``[R, m, …]``, as they were
            recorded. runs: number of runs.

    Attributes:
        steps: for each side, what is called until the loss is known, and after.
        left: number of operations that torch executes.

    Raises:
        NotCompiled: there is no compiler, or it fails.
    """

    def __init__(
        self,
        sides: Sequence[Parts],
        spans: Mapping[int, Span],
        batch: Sequence[torch.Tensor],
        runs: int,
    ) -> None:
        self._translator = Translator(runs)
        one, other = sides
        parts = [
            bodies(self._translator, mine, its, spans) for mine, its in zip(one, other, strict=True)
        ]
        sources = [body for part in parts for body in part if isinstance(body, Body)]
        self.left = sum(len(part) for part in parts) - len(sources)
        source = HEAD + "".join(body.source(f"step{number}") for number, body in enumerate(sources))
        pairs = self._translator.slots.all
        # The steps of both sides are given the same numbers.
        self._numbers = array("d", bytes(8 * max(1, len(self._translator.numbers))))
        self._tables = [
            array("Q", [0 if pair.private else tensor.data_ptr() for pair, tensor in side] or [0])
            for side in (
                [(pair, pair.one) for pair in pairs],
                [(pair, pair.other) for pair in pairs],
            )
        ]
        begins = {memory_of(tensor): (of, tensor.data_ptr()) for of, tensor in enumerate(batch)}
        self._moved = [
            (place, begins[pair.memory][0], pair.one.data_ptr() - begins[pair.memory][1])
            for place, pair in enumerate(pairs)
            if pair.memory in begins
        ]
        functions = {
            id(body): compiled(source, f"step{number}", ARGUMENTS, contracts=True)
            for number, body in enumerate(sources)
        }
        self._parts = parts
        self._functions = functions
        self._runs = array("q", range(runs))
        self.steps: list[list[Calls]] = []
        self.set_runs(range(runs))

    def set_runs(self, runs: Sequence[int]) -> None:
        """Say of which runs the next steps are wanted; nothing is known of others after them."""
        self._runs = array("q", runs)
        numbers, its_runs = self._numbers.buffer_info()[0], self._runs.buffer_info()[0]
        self.steps[:] = [
            [
                [
                    functools.partial(
                        self._functions[id(body)],
                        table.buffer_info()[0],
                        numbers,
                        its_runs,
                        len(self._runs),
                    )
                    if isinstance(body, Body)
                    else body[side].function
                    for body in part
                ]
                for part in self._parts
            ]
            for side, table in enumerate(self._tables)
        ]

    def set_inputs(
        self, side: int, batch: Sequence[torch.Tensor], values: Mapping[int, float]
    ) -> None:
        """Say what the next step from a side depends on.

        Args:
            batch: inputs and targets, of the shapes and strides of the recording.
            values: the numbers that differ from step to step: index → value.
        """
        table = self._tables[side]
        for place, of, distance in self._moved:
            table[place] = batch[of].data_ptr() + distance
        for place, index in enumerate(self._translator.numbers):
            self._numbers[place] = values[index]
