"""What an initializer is: a draw for each tensor, weights at random and biases at a constant.

Draws are made on the CPU in float64 whatever the run's device and precision, so that a start is the
same everywhere. A start may also look at the training set: for biases that follow its targets, for
weights that are scaled on a minibatch, or to choose among several draws. What it looks at comes as
:class:`InitializationContext`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from optlab.core.component import Component, Section
from optlab.core.fields import choice, integer, number
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch


@dataclass(frozen=True)
class InitializationContext:
    """What a start may look at beside the layout; everything on the CPU and in float64.

    Attributes:
        y: training targets: class numbers ``[n]`` or values ``[n, outputs]``. outputs: number of
            outputs of the model.
        losses: parameters ``[P]`` → the objective on the whole training set, weight decay included.
        traced: parameters ``[P]`` and indices of examples ``[m]`` → name and value ``[m, …]`` of
            each intermediate result of the forward pass.
    """

    y: torch.Tensor
    outputs: int
    losses: Callable[[torch.Tensor], float]
    traced: Callable[[torch.Tensor, torch.Tensor], Mapping[str, torch.Tensor]]


class Initializer(Component):
    """Base of all initializers."""

    kind: ClassVar[str] = "initializer"
    section: ClassVar[Section] = Section(
        title="Initializer",
        plural="Initializers",
        chapter="Initialization",
        order=40,
        form_order=50,
        default="normalized",
    )

    bias: float = number(
        0.0,
        "Bias",
        slider=(-1.0, 1.0),
        help="Every bias starts at this value.",
        why="Zero suits most schemes for weights; 0.1 keeps ReLU units alive at the start.",
    )

    gate_bias: float = number(
        1.0,
        "Gate bias",
        slider=(-2.0, 4.0),
        help="Biases of units that let others take part (an LSTM's forget gate) start at this value.",
        why="At 1 the gate is open at the start, so all units have a chance to learn.",
    )

    output_bias: Literal["same", "marginal"] = choice(
        "same",
        "Output bias",
        help="The same as other biases, or set so that with weights of zero the outputs would be right on average: log class frequencies, or mean targets.",
        why="With small random weights the outputs then start near the right marginal; the first steps need not learn it.",
    )

    tries: int = integer(
        1,
        "Starts tried",
        ge=1,
        le=1000,
        log=True,
        slider=(1, 100),
        help="Number of starts that are drawn; the one with the lowest objective on the training set is taken.",
        why="One, so that a start is what the rule says; the lowest cost at the start says little about the end.",
    )

    @abstractmethod
    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        """A float64 draw of the shape of ``parameter``, whose role is ``"weight"``."""

    def start(
        self,
        layout: Layout,
        generator: torch.Generator,
        initialization_context: InitializationContext | None = None,
    ) -> torch.Tensor:
        """Initial parameters ``[P]`` in float64 on the CPU.

        Args:
            circumstances: None where there is no training set to look at; the start is then the
                first draw, as the rule for weights gives it.
        """
        if initialization_context is None:
            return self._drawn(layout, generator)
        starts = [self._one(layout, generator, initialization_context) for _ in range(self.tries)]
        return min(starts, key=initialization_context.losses) if len(starts) > 1 else starts[0]

    def adjusted(
        self,
        theta: torch.Tensor,
        layout: Layout,
        generator: torch.Generator,
        initialization_context: InitializationContext,
    ) -> torch.Tensor:
        """Drawn parameters ``[P]``, changed by what the training set shows; by default nothing is."""
        return theta

    def _one(
        self,
        layout: Layout,
        generator: torch.Generator,
        initialization_context: InitializationContext,
    ) -> torch.Tensor:
        theta = self.adjusted(
            self._drawn(layout, generator), layout, generator, initialization_context
        )
        if self.output_bias == "marginal":
            theta = theta.clone()
            for parameter, part in zip(
                layout.parameters, layout.split(theta.unsqueeze(0)), strict=True
            ):
                if (
                    parameter.output
                    and parameter.role == "bias"
                    and parameter.shape == (initialization_context.outputs,)
                ):
                    part.copy_(marginal(initialization_context.y, initialization_context.outputs))
        return theta

    def _drawn(self, layout: Layout, generator: torch.Generator) -> torch.Tensor:
        return torch.cat(
            [self._part(parameter, generator).reshape(-1) for parameter in layout.parameters]
        )

    def _part(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        if parameter.role == "weight":
            return self.weight(parameter, generator)
        constant = {"bias": self.bias, "gate": self.gate_bias, "scale": 1.0}[parameter.role]
        return torch.full(parameter.shape, constant, dtype=torch.float64)


def marginal(y: torch.Tensor, outputs: int) -> torch.Tensor:
    """Outputs ``[outputs]`` that are best where the inputs are not looked at: log class
    frequencies, or mean targets.

    A class without an example counts as half a one: its logarithm has to be finite.
    """
    if y.is_floating_point():
        return y.reshape(len(y), -1).double().mean(dim=0)
    counts = torch.bincount(y, minlength=outputs).double()
    return (counts.clamp(min=0.5) / len(y)).log()
