"""What an initializer is: a draw for each tensor, weights at random and biases at a constant.

Draws are made on the CPU in float64 whatever the run's device and precision, so that a start is the same everywhere.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from optlab.component import Component
from optlab.fields import real
from optlab.layout import Layout, Parameter
from optlab.lazy import torch as _torch

if TYPE_CHECKING:
    import torch


class Initializer(Component):
    """Base of all initializers."""

    kind: ClassVar[str] = "initializer"

    bias: float = real(
        0.0,
        "Bias",
        slider=(-1.0, 1.0),
        help="Every bias starts at this value.",
        why="Zero suits most schemes for weights; 0.1 keeps ReLU units alive at the start.",
    )

    gate_bias: float = real(
        1.0,
        "Gate bias",
        slider=(-2.0, 4.0),
        help="Biases of units that let others take part (an LSTM's forget gate) start at this value.",
        why="At 1 the gate is open at the start, so all units have a chance to learn.",
    )

    @abstractmethod
    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        """A float64 draw of the shape of ``parameter``, whose role is ``"weight"``."""

    def start(self, layout: Layout, generator: torch.Generator) -> torch.Tensor:
        """Initial parameters ``[P]`` in float64 on the CPU."""
        return _torch.cat([self._part(parameter, generator).reshape(-1) for parameter in layout.parameters])

    def _part(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        if parameter.role == "weight":
            return self.weight(parameter, generator)
        constant = {"bias": self.bias, "gate": self.gate_bias, "scale": 1.0}[parameter.role]
        return _torch.full(parameter.shape, constant, dtype=_torch.float64)
