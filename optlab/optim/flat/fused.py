"""Parameters that compiled loops update, each element with many operations of the rule at once."""

from __future__ import annotations

import functools
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch

from optlab.optim.flat.block import BLOCK_VALUES, Calls, Fresh, owned
from optlab.optim.flat.listing import GRADIENT, STATE, THETA, Listing
from optlab.optim.flat.loops import Functions
from optlab.optim.flat.scalars import Scalars
from optlab.optim.flat.stages import Stages, stages

THREAD_VALUES = 1 << 18
"""Values of parameters for which another thread is worth its start."""


class FusedBlock:
    """Parameters that are updated where they lie, as their states are.

    Args:
        listing: what a step does.
        parameters: of one type, dense, in any order of their dimensions.
        state: for each parameter, the tensors ``[*shape]`` of its state, or what gives those without
            state one.
        scalars: the numbers of the listing.
        functions: its loops.
        owns: whether the tensors of the states may be overwritten; they are copied otherwise.
    """

    def __init__(
        self,
        listing: Listing,
        parameters: Sequence[torch.Tensor],
        state: Sequence[Mapping[str, torch.Tensor]] | Fresh,
        scalars: Scalars,
        functions: Functions,
        *,
        owns: bool = False,
    ) -> None:
        self.count = len(parameters)
        self._parameters = list(parameters)
        self._strides = [parameter.stride() for parameter in parameters]
        sizes = [parameter.numel() for parameter in parameters]
        if callable(state):
            self._entries = self._begun(listing, sizes, state)
        elif owns:
            self._entries = {name: self._adopted(name, state) for name in listing.state}
        else:
            self._entries = {
                name: self._divided(parameters[0].new_empty(sum(sizes)), 0, self.count)
                for name in listing.state
            }
            for name, entries in self._entries.items():
                for mine, its in zip(entries, state, strict=True):
                    mine.copy_(its[name])
        addresses = {THETA: [parameter.data_ptr() for parameter in parameters]} | {
            STATE + name: [one.data_ptr() for one in entries]
            for name, entries in self._entries.items()
        }
        threads = max(1, min(torch.get_num_threads(), sum(sizes) // THREAD_VALUES))
        self._shares = [
            _Share(stages(listing), functions, pieces, scalars, parameters[0], addresses)
            for pieces in _divided(sizes, threads)
        ]

    def entries(self, name: str) -> list[torch.Tensor]:
        """Return an entry of the state of each parameter, ``[*shape]``."""
        return self._entries[name]

    def _begun(
        self, listing: Listing, sizes: Sequence[int], begin: Fresh
    ) -> dict[str, list[torch.Tensor]]:
        """Return the first state: entry → a tensor like each parameter, ``[*shape]``."""
        entries: dict[str, list[torch.Tensor]] = {name: [] for name in listing.state}
        for first, last in _runs(sizes):
            # Copies of all parameters at once would be in memory, too.
            some = [_in_memory(one.detach()) for one in self._parameters[first:last]]
            theta = some[0] if len(some) == 1 else torch.cat(some)
            fresh = owned(begin(theta.view(1, -1)), some)
            for name, its in entries.items():
                its.extend(self._divided(fresh[name].view(-1), first, last))
        return entries

    def _divided(self, flat: torch.Tensor, first: int, last: int) -> list[torch.Tensor]:
        """Return memory ``[n]`` as tensors like some parameters, ``[*shape]``, side by side."""
        parameters, strides = self._parameters[first:last], self._strides[first:last]
        parts = flat.split([parameter.numel() for parameter in parameters])
        return [
            part.as_strided(parameter.shape, stride, part.storage_offset())
            for part, parameter, stride in zip(parts, parameters, strides, strict=True)
        ]

    def _adopted(
        self, name: str, state: Sequence[Mapping[str, torch.Tensor]]
    ) -> list[torch.Tensor]:
        """Return the tensors of an entry, ``[*shape]``: copies where memory has another order."""
        return [
            its[name]
            if its[name].stride() == stride
            else torch.empty_like(parameter, requires_grad=False).copy_(its[name])
            for its, parameter, stride in zip(state, self._parameters, self._strides, strict=True)
        ]

    def step(self, gradients: list[torch.Tensor]) -> None:
        """Take one step with the gradients ``[*shape]`` of its parameters."""
        if [gradient.stride() for gradient in gradients] != self._strides:
            gradients = [
                gradient
                if gradient.stride() == parameter.stride()
                else torch.empty_like(parameter).copy_(gradient)
                for gradient, parameter in zip(gradients, self._parameters, strict=True)
            ]
        addresses = list(map(torch.Tensor.data_ptr, gradients))
        first, *rest = self._shares
        others = [_threads().submit(share.step, addresses) for share in rest]
        first.step(addresses)
        for other in others:
            other.result()
        torch.autograd.graph.increment_version(self._parameters)


class _Piece(NamedTuple):
    """Some values of a parameter, as its memory has them."""

    parameter: int
    begin: int
    length: int


class _Share:
    """The pieces that one thread updates, some at once, so that scratch arrays stay small."""

    def __init__(
        self,
        steps: Stages,
        functions: Functions,
        pieces: Sequence[_Piece],
        scalars: Scalars,
        like: torch.Tensor,
        addresses: Mapping[str, Sequence[int]],
    ) -> None:
        chunks = list(_chunks(pieces)) if len(steps.loops) > 1 else [list(pieces)]
        values = max(sum(piece.length for piece in chunk) for chunk in chunks)
        scratches = [like.new_empty(values) if name is None else None for name in steps.names]
        self._chunks = [
            _Chunk(steps, functions, chunk, scalars, like, scratches, addresses) for chunk in chunks
        ]

    def step(self, gradients: Sequence[int]) -> None:
        """Take one step with the gradients that begin at some addresses, one a parameter."""
        for chunk in self._chunks:
            chunk.step(gradients)


class _Chunk:
    """Pieces that all loops of a step update before the next ones."""

    def __init__(
        self,
        steps: Stages,
        functions: Functions,
        pieces: Sequence[_Piece],
        scalars: Scalars,
        like: torch.Tensor,
        scratches: Sequence[torch.Tensor | None],
        addresses: Mapping[str, Sequence[int]],
    ) -> None:
        self._width = like.element_size()
        self._pieces = pieces
        self._whole = [piece.parameter for piece in pieces] == list(range(len(pieces))) and not any(
            piece.begin for piece in pieces
        )
        rows = len(pieces)
        self._rows = rows
        lengths = array("q", [piece.length for piece in pieces])
        self._table = array("Q", bytes(8 * rows * len(steps.names)))
        # The loops know addresses only; this keeps what is there.
        self._memory = lengths, self._table, scalars.memory, scratches
        for number, (name, scratch) in enumerate(zip(steps.names, scratches, strict=True)):
            if scratch is not None:
                begins = _sums(lengths)
                at = [scratch.data_ptr() + begin * self._width for begin in begins]
                self._table[number * rows : (number + 1) * rows] = array("Q", at)
            elif name is not None and name != GRADIENT:
                self._put(number, addresses[name])
        self._gradient = steps.names.index(GRADIENT)
        total = sum(lengths)
        given = (rows, *(one.buffer_info()[0] for one in (lengths, self._table, scalars.memory)))
        self._calls: Calls = []
        for function, roots in zip(functions, steps.roots, strict=True):
            self._calls.append(functools.partial(function, *given))
            for number in roots:
                scratch = scratches[number]
                assert scratch is not None
                self._calls.append(functools.partial(torch.sqrt_, scratch[:total]))

    def _put(self, number: int, addresses: Sequence[int]) -> None:
        """Say where the arrays of this number begin, one a parameter."""
        if self._whole:
            at = addresses[: self._rows]
        else:
            width = self._width
            at = [addresses[parameter] + begin * width for parameter, begin, _ in self._pieces]
        self._table[number * self._rows : (number + 1) * self._rows] = array("Q", at)

    def step(self, gradients: Sequence[int]) -> None:
        """Take one step with the gradients that begin at some addresses, one a parameter."""
        self._put(self._gradient, gradients)
        for call in self._calls:
            call()


def _in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """Return the values ``[n]`` of a dense tensor of any shape in the order in which memory has them."""
    return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())


def _runs(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of parameters that follow one another, of ``BLOCK_VALUES`` values or one."""
    first, values = 0, 0
    for number, size in enumerate(sizes):
        if number > first and values + size > BLOCK_VALUES:
            yield first, number
            first, values = number, 0
        values += size
    yield first, len(sizes)


def _sums(lengths: Sequence[int]) -> list[int]:
    """Return where each of some lengths begins if they follow one another."""
    begins, total = [], 0
    for length in lengths:
        begins.append(total)
        total += length
    return begins


def _divided(sizes: Sequence[int], threads: int) -> list[list[_Piece]]:
    """Divide parameters into as many shares of nearly the same number of values."""
    total = sum(sizes)
    bounds = [total * number // threads for number in range(threads + 1)]
    shares: list[list[_Piece]] = [[] for _ in range(threads)]
    for parameter, (start, size) in enumerate(zip(_sums(sizes), sizes, strict=True)):
        for share, low, high in zip(shares, bounds, bounds[1:], strict=False):
            begin, end = max(low, start), min(high, start + size)
            if begin < end:
                share.append(_Piece(parameter, begin - start, end - begin))
    return shares


def _chunks(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Yield pieces that are updated at once, of at most ``BLOCK_VALUES`` values together."""
    chunk: list[_Piece] = []
    room = BLOCK_VALUES
    for piece in pieces:
        left = piece
        while left.length:
            taken = min(left.length, room)
            chunk.append(left._replace(length=taken))
            left = _Piece(left.parameter, left.begin + taken, left.length - taken)
            room -= taken
            if not room:
                yield chunk
                chunk, room = [], BLOCK_VALUES
    if chunk:
        yield chunk


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="optlab-optim")


if hasattr(os, "register_at_fork"):
    # A process that is forked has none of them, and would wait for them.
    os.register_at_fork(after_in_child=_threads.cache_clear)
