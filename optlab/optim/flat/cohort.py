"""Parameters of one type that have taken the same number of steps."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import torch

from optlab.optim.flat.block import BLOCK_VALUES, Block, Fresh, LargeBlock, Scratch, SharedBlock
from optlab.optim.flat.fused import FusedBlock
from optlab.optim.flat.listing import STEP, Listing
from optlab.optim.flat.loops import Functions, awaited
from optlab.optim.flat.scalars import Scalars

COUNT = "step"
"""Entry of the state of a parameter that counts its steps."""

_layouts = attrgetter("layout")


class Cohort:
    """Takes the steps of some parameters.

    Args:
        listing: what a step does.
        given: the parameters ``[*shape]``, of one type, and their states. The tensors of the states
            are replaced by others, which lie side by side and are overwritten by the steps.
        step: number of steps that they have taken.
        fresh: gives them states where those are empty; None where they are not.
        functions: the compiled loops that do all that a step does; None where torch does it.

    Attributes:
        values: number of values of the parameters.
    """

    def __init__(
        self,
        listing: Listing,
        given: Sequence[tuple[torch.Tensor, dict[str, Any]]],
        step: int,
        fresh: Fresh | None = None,
        *,
        functions: Functions | None = None,
    ) -> None:
        self._listing = listing
        self._step = step
        self._names = (*listing.state, COUNT)
        parts = _parts(given) if functions is None else [list(given)]
        self._parameters = [parameter for part in parts for parameter, _ in part]
        self._states = [state for part in parts for _, state in part]
        self._functions = functions
        self.values = sum(parameter.numel() for parameter in self._parameters)
        for state in self._states if fresh is not None else ():
            state[COUNT] = torch.zeros((), dtype=torch.int64)
        dtype = self._parameters[0].dtype
        largest = max(sum(parameter.numel() for parameter, _ in part) for part in parts)
        scratch = Scratch(dtype, min(largest, BLOCK_VALUES))
        self._scalars = Scalars(listing, dtype)
        self._blocks: list[tuple[Block, int, int]] = []
        begin = 0
        for part in parts:
            end = begin + len(part)
            self._blocks.append((self._block(listing, part, scratch, fresh), begin, end))
            begin = end
        self._counts = torch.full((len(given),), step)
        for state, count in zip(self._states, self._counts.unbind(), strict=True):
            state[COUNT] = count
        self._version = self._counts._version
        self._found = self._places()

    def _block(
        self,
        listing: Listing,
        part: Sequence[tuple[torch.Tensor, dict[str, Any]]],
        scratch: Scratch,
        fresh: Fresh | None,
    ) -> Block:
        parameters, states = [list(one) for one in zip(*part, strict=True)]
        rest = self._scalars, scratch
        block: Block
        if self._functions is not None:
            given = parameters, fresh or states, self._scalars, self._functions
            block = FusedBlock(listing, *given)
        elif parameters[0].numel() > BLOCK_VALUES:
            block = LargeBlock(listing, parameters[0], fresh or states[0], *rest)
        else:
            block = SharedBlock(listing, parameters, fresh or states, *rest)
        for name in listing.state:
            for state, value in zip(states, block.entries(name), strict=True):
                state[name] = value
        return block

    @property
    def fused(self) -> bool:
        """Whether compiled loops do all that a step does."""
        return self._functions is not None

    def fuse(self) -> bool:
        """Have the next steps done by compiled loops, if those are ready; return whether they are.

        A thread compiles them otherwise.

        Raises:
            NotCompiled: there is no compiler, or it has failed.
        """
        functions = awaited(self._listing, self._parameters[0].dtype)
        if functions is None:
            return False
        self._functions = functions
        given = self._listing, self._parameters, self._states, self._scalars, functions
        block = FusedBlock(*given, owns=True)
        for name in self._listing.state:
            for state, value in zip(self._states, block.entries(name), strict=True):
                state[name] = value
        self._blocks = [(block, 0, len(self._parameters))]
        self._found = self._places()
        return True

    def gradients(self) -> list[torch.Tensor] | None:
        """Return the gradients ``[*shape]`` of the parameters.

        Return None where one is missing or of another kind, or where parameters or states are no
        longer those that this cohort has: somebody has moved or replaced them.
        """
        gradients = [parameter.grad for parameter in self._parameters]
        if set(map(type, gradients)) != {torch.Tensor} or set(map(_layouts, gradients)) != {
            torch.strided
        }:
            return None
        if self._counts._version != self._version or self._places() != self._found:
            return None
        return gradients  # type: ignore[return-value]

    def _places(self) -> list[Any]:
        """Return where the parameters and their states lie; entries may be missing."""
        address = torch.Tensor.data_ptr
        try:
            return [
                self._parameters[0].dtype,
                *map(address, self._parameters),
                *(
                    place
                    for name in self._names
                    for place in map(address, map(itemgetter(name), self._states))
                ),
            ]
        except (KeyError, TypeError):
            return []

    def set_values(self, leaves: Mapping[str, Any]) -> None:
        """Set the hyperparameters: name → value."""
        self._scalars.set_values(leaves)

    def step(self, gradients: list[torch.Tensor], leaves: MutableMapping[str, Any]) -> None:
        """Take one step.

        Args:
            gradients: ``[*shape]`` each, what :meth:`gradients` returned.
            leaves: hyperparameter → value; the number of the step is set in it.
        """
        self._step += 1
        leaves[STEP] = self._step
        self._scalars.set_step(leaves)
        for block, begin, end in self._blocks:
            block.step(gradients[begin:end])
        self._counts.add_(1)
        self._version = self._counts._version


def _parts(
    given: Sequence[tuple[torch.Tensor, dict[str, Any]]],
) -> list[list[tuple[torch.Tensor, dict[str, Any]]]]:
    """Divide parameters into those that share a block, and large ones by themselves."""
    parts: list[list[tuple[torch.Tensor, dict[str, Any]]]] = []
    room = 0
    for one in given:
        values = one[0].numel()
        if values > BLOCK_VALUES:
            parts.insert(0, [one])
        elif values <= room:
            parts[-1].append(one)
            room -= values
        else:
            parts.append([one])
            room = BLOCK_VALUES - values
    return parts
