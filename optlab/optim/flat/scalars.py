"""The numbers of a rule's operations as tensors without dimensions, which torch need not make."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import torch

from optlab.optim.flat.listing import STEP, Listing, Operand, Traced

TYPES: Mapping[torch.dtype, str] = {torch.float32: "f", torch.float64: "d"}
"""Types in which a tensor without dimensions gives the same bits as a number."""


class Scalars:
    """The numbers of a listing, each as a tensor that stays.

    Args:
        listing: the operations.
        dtype: one of :data:`TYPES`.
    """

    def __init__(self, listing: Listing, dtype: torch.dtype) -> None:
        self._numbers = listing.numbers
        operands = {
            operand
            for operation in listing.operations
            for operand in operation.operands
            if isinstance(operand, (float, Traced))
        }
        constants = [operand for operand in operands if isinstance(operand, float)]
        traced = [operand.index for operand in operands if isinstance(operand, Traced)]
        self._memory = array(TYPES[dtype], [*constants, *(0.0 for _ in traced), 0.0])
        tensors = torch.frombuffer(self._memory, dtype=dtype).unbind()
        self._tensors: dict[Operand, torch.Tensor] = dict(zip(constants, tensors, strict=False))
        self._places: dict[int, int] = {}
        for place, index in enumerate(traced, len(constants)):
            self._tensors[Traced(index)] = tensors[place]
            self._places[index] = place
        self._by_step = [index for index in traced if self._numbers.depends(index, STEP)]
        self._by_values = [index for index in traced if index not in self._by_step]

    def tensor(self, operand: Operand) -> torch.Tensor:
        """Return the tensor of a number, of shape ``[]``."""
        return self._tensors[operand]

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

    def _set(self, indices: list[int], leaves: Mapping[str, Any]) -> None:
        for index, value in self._numbers.evaluated(indices, leaves).items():
            place = self._places.get(index)
            if place is not None:
                self._memory[place] = value
