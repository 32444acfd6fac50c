"""The numbers of a rule's operations as tensors without dimensions, which torch need not make."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Mapping
from typing import Any

import torch

from optlab.optim.flat.listing import STEP, Listing, Operand, Traced

TYPES: Mapping[torch.dtype, str] = {torch.float32: "f", torch.float64: "d"}
"""Types in which a tensor without dimensions gives the same bits as a number."""


@functools.cache
def places(listing: Listing) -> Mapping[Operand, int]:
    """Return the numbers of a listing, each with its place among them."""
    operands = [
        operand
        for operation in listing.operations
        for operand in operation.operands
        if isinstance(operand, (float, Traced))
    ]
    return {operand: place for place, operand in enumerate(dict.fromkeys(operands))}


class Scalars:
    """The numbers of a listing, each as a tensor that stays.

    Args:
        listing: the operations.
        dtype: one of :data:`TYPES`.

    Attributes:
        memory: their values.
    """

    def __init__(self, listing: Listing, dtype: torch.dtype) -> None:
        self._numbers = listing.numbers
        self._places = places(listing)
        self.memory = array(
            TYPES[dtype],
            [*(one if isinstance(one, float) else 0.0 for one in self._places), 0.0],
        )
        self._tensors = torch.frombuffer(self.memory, dtype=dtype).unbind()
        traced = {
            operand.index: place
            for operand, place in self._places.items()
            if isinstance(operand, Traced)
        }
        by_step = [index for index in traced if self._numbers.depends(index, STEP)]
        self._by_step = {index: traced[index] for index in by_step}
        self._by_values = {index: traced[index] for index in traced if index not in by_step}

    def tensor(self, operand: Operand) -> torch.Tensor:
        """Return the tensor of a number, of shape ``[]``."""
        return self._tensors[self._places[operand]]

    def set_values(self, leaves: Mapping[str, Any]) -> None:
        """Compute all numbers that are the same at each step.

        Args:
            leaves: hyperparameter → its value.
        """
        self._set(self._by_values, leaves)

    def set_step(self, leaves: Mapping[str, Any]) -> None:
        """Compute all numbers that depend on the number of the step."""
        if self._by_step:
            self._set(self._by_step, leaves)

    def _set(self, places_: Mapping[int, int], leaves: Mapping[str, Any]) -> None:
        """Compute numbers: index → place."""
        values = self._numbers.evaluated(places_, leaves)
        for index, place in places_.items():
            self.memory[place] = values[index]
