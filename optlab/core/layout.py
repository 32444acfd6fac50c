"""How the flat parameters of R runs, ``theta [R, P]``, divide into named tensors.

A model declares its tensors in order; :meth:`Layout.split` gives views ``[R, *shape]`` into the
flat storage. Splitting is one operation, so that the backward pass writes the gradient once instead
of padding it for every tensor.
"""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from optlab.core.errors import InvalidInput

if TYPE_CHECKING:
    import torch

Role = Literal["weight", "bias", "gate", "scale"]
"""What a tensor is for: weights are drawn and decayed; biases start at a constant; biases of gates
start open; scales start at one.
"""


@dataclass(frozen=True)
class Parameter:
    """One tensor of a model.

    Attributes:
        name: dotted path, as torch modules name theirs (``"layers.0.weight"``).
        shape: shape for one run; weights are ``[fan_out, fan_in]``, torch's order.
        role: see :data:`Role`.
        fan_in, fan_out: number of inputs that reach a unit, and of units that an input reaches.
        output: whether the tensor feeds the model's output directly.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    fan_in: int
    fan_out: int
    output: bool = False

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The tensors of a model, in the order in which they lie in ``theta``."""

    parameters: tuple[Parameter, ...]

    @cached_property
    def sizes(self) -> list[int]:
        """Number of values of each tensor."""
        return [parameter.size for parameter in self.parameters]

    @cached_property
    def offsets(self) -> list[int]:
        """Where each tensor begins in the flat vector."""
        return [sum(self.sizes[:index]) for index in range(len(self.sizes))]

    @cached_property
    def total(self) -> int:
        """P, the number of parameters."""
        return sum(self.sizes)

    def split(self, theta: torch.Tensor) -> list[torch.Tensor]:
        """Views ``[R, *shape]`` of ``theta`` ``[R, P]``, one a tensor."""
        runs = theta.shape[0]
        parts = theta.split(self.sizes, 1)
        return [
            part.view(runs, *spec.shape) for part, spec in zip(parts, self.parameters, strict=True)
        ]

    def named(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        """Name → view ``[R, *shape]``."""
        return {
            spec.name: part for spec, part in zip(self.parameters, self.split(theta), strict=True)
        }

    def owner(self, index: int) -> Parameter:
        """The tensor that holds the flat position ``index``."""
        return self.parameters[bisect.bisect_right(self.offsets, index) - 1]

    def weight_name(self, index: int) -> str:
        """Name of the single value at flat position ``index``: ``"layers.0.weight[3,5]"``."""
        owner = self.owner(index)
        rest = index - self.offsets[self.parameters.index(owner)]
        place: list[str] = []
        for extent in reversed(owner.shape):
            rest, here = divmod(rest, extent)
            place.append(str(here))
        return f"{owner.name}[{','.join(reversed(place))}]"

    def weight_index(self, name: str) -> int:
        """Flat position of the value called ``name``, the inverse of :meth:`weight_name`.

        Raises:
            InvalidInput: no tensor or no such place in it.
        """
        match = re.fullmatch(r"([\w.]+)\[(\d+(?:,\d+)*)\]", name.replace(" ", ""))
        owners = {
            spec.name: (spec, offset)
            for spec, offset in zip(self.parameters, self.offsets, strict=True)
        }
        if match is None or match[1] not in owners:
            example = self.weight_name(0)
            known = ", ".join(owners)
            raise InvalidInput(
                f"'{name}' names no weight; write for example {example}. The tensors are: {known}.",
                "measures.chosen",
            )
        spec, offset = owners[match[1]]
        place = [int(part) for part in match[2].split(",")]
        if len(place) != len(spec.shape) or any(
            i >= extent for i, extent in zip(place, spec.shape, strict=True)
        ):
            raise InvalidInput(
                f"'{name}' lies outside of {spec.name}, whose shape is {list(spec.shape)}.",
                "measures.chosen",
            )
        flat = 0
        for i, extent in zip(place, spec.shape, strict=True):
            flat = flat * extent + i
        return offset + flat

    def spread(self, count: int) -> list[int]:
        """About ``count`` flat positions spread over all tensors: the same number in each, evenly
        spaced within it.
        """
        if count <= 0:
            return []
        tensors = self.parameters[: max(1, count)]
        share, rest = divmod(count, len(tensors))
        found: list[int] = []
        for number, (spec, offset) in enumerate(zip(tensors, self.offsets, strict=False)):
            here = min(spec.size, share + (number < rest))
            found += [offset + (2 * i + 1) * spec.size // (2 * here) for i in range(here)]
        return found


def linear(name: str, inputs: int, outputs: int, *, output: bool = False) -> list[Parameter]:
    """The weight ``[outputs, inputs]`` and bias ``[outputs]`` of a fully connected layer."""
    return [
        Parameter(f"{name}.weight", (outputs, inputs), "weight", inputs, outputs, output),
        Parameter(f"{name}.bias", (outputs,), "bias", inputs, outputs, output),
    ]


def layout(parameters: Sequence[Parameter]) -> Layout:
    """A layout of these tensors."""
    return Layout(tuple(parameters))
