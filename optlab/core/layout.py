"""The division of the flat parameters of R runs, ``theta [R, P]``, into named tensors.

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

Role = Literal["weight", "bias", "gate", "scale", "other"]
"""Role of a tensor: weights are drawn and decayed; biases start at a constant; biases of gates
start with open gates; scales start at one; others as the model builds them.
"""


@dataclass(frozen=True)
class Parameter:
    """One tensor of a model.

    Attributes:
        name: dotted path, as in torch modules (``"layers.0.weight"``).
        shape: shape for one run; weights are ``[fan_out, fan_in]``, as in torch.
        role: see :data:`Role`.
        fan_in, fan_out: number of inputs that reach a unit, and of units that an input reaches.
        output: whether the tensor feeds the model's output directly.
        stacked: number of matrices of equal shape that lie above each other in the tensor, as the
            gates of a recurrent cell do; an initializer treats each of them as a matrix.
        along: of a weight that acts at every step of a sequence, what it multiplies: the input
            ``x[t]`` of an example, or the state before, traced as ``state.0``, ``state.1``, ….
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    fan_in: int
    fan_out: int
    output: bool = False
    stacked: int = 1
    along: Literal["", "inputs", "states"] = ""

    @property
    def size(self) -> int:
        """Return the number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The tensors of a model, in the order in which they lie in ``theta``."""

    parameters: tuple[Parameter, ...]

    @cached_property
    def sizes(self) -> list[int]:
        """Return the number of values of each tensor."""
        return [parameter.size for parameter in self.parameters]

    @cached_property
    def offsets(self) -> list[int]:
        """Return the flat index at which each tensor begins."""
        return [sum(self.sizes[:index]) for index in range(len(self.sizes))]

    @cached_property
    def total(self) -> int:
        """Return P, the number of parameters."""
        return sum(self.sizes)

    @cached_property
    def _folded(self) -> list[tuple[int, ...] | None]:
        """Return the shape of each tensor; None where it is flat already."""
        return [None if len(spec.shape) == 1 else spec.shape for spec in self.parameters]

    def split(self, theta: torch.Tensor) -> list[torch.Tensor]:
        """Return views ``[R, *shape]`` of ``theta`` ``[R, P]``, one for each tensor."""
        runs = theta.shape[0]
        # Twice in every step: the method is torch's own, where `split` is a function in Python.
        parts = theta.split_with_sizes(self.sizes, 1)
        return [
            part if shape is None else part.view(runs, *shape)
            for part, shape in zip(parts, self._folded, strict=True)
        ]

    def named(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return name → view ``[R, *shape]`` of ``theta`` ``[R, P]``."""
        return {
            spec.name: part for spec, part in zip(self.parameters, self.split(theta), strict=True)
        }

    def owner(self, index: int) -> Parameter:
        """Return the tensor that contains the flat index ``index``."""
        return self.parameters[bisect.bisect_right(self.offsets, index) - 1]

    def weight_name(self, index: int) -> str:
        """Return the name of the value at flat index ``index``: ``"layers.0.weight[3,5]"``."""
        owner = self.owner(index)
        rest = index - self.offsets[self.parameters.index(owner)]
        indices: list[str] = []
        for extent in reversed(owner.shape):
            rest, position = divmod(rest, extent)
            indices.append(str(position))
        return f"{owner.name}[{','.join(reversed(indices))}]"

    def weight_index(self, name: str) -> int:
        """Return the flat index of the value ``name``, the inverse of :meth:`weight_name`.

        Raises:
            InvalidInput: there is no such tensor, or the indices are out of its bounds.
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
                f"{name!r} is not a weight; write for example {example}. The tensors are: {known}.",
                "measures.chosen",
            )
        spec, offset = owners[match[1]]
        indices = [int(part) for part in match[2].split(",")]
        if len(indices) != len(spec.shape) or any(
            i >= extent for i, extent in zip(indices, spec.shape, strict=True)
        ):
            raise InvalidInput(
                f"{name!r} is out of bounds of {spec.name}, whose shape is {list(spec.shape)}.",
                "measures.chosen",
            )
        flat = 0
        for i, extent in zip(indices, spec.shape, strict=True):
            flat = flat * extent + i
        return offset + flat

    def spread(self, count: int) -> list[int]:
        """Return about ``count`` flat indices spread over all tensors.

        The same number in each, evenly spaced within it.
        """
        if count <= 0:
            return []
        tensors = self.parameters[: max(1, count)]
        share, rest = divmod(count, len(tensors))
        indices: list[int] = []
        for number, (spec, offset) in enumerate(zip(tensors, self.offsets, strict=False)):
            points = min(spec.size, share + (number < rest))
            indices += [offset + (2 * i + 1) * spec.size // (2 * points) for i in range(points)]
        return indices


def linear(name: str, inputs: int, outputs: int, *, output: bool = False) -> list[Parameter]:
    """Return the weight ``[outputs, inputs]`` and bias ``[outputs]`` of a fully connected layer."""
    return [
        Parameter(f"{name}.weight", (outputs, inputs), "weight", inputs, outputs, output),
        Parameter(f"{name}.bias", (outputs,), "bias", inputs, outputs, output),
    ]


def layout(parameters: Sequence[Parameter]) -> Layout:
    """Return a layout of these tensors."""
    return Layout(tuple(parameters))
