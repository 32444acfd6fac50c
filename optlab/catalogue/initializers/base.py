"""Base class of initializers: random weights and constant biases for each tensor.

Draws are made on the CPU in float64, whatever the device and precision of the run, so that the
initial parameters are the same everywhere. An initializer may also use the training set: for biases
that depend on its targets, for weights that are scaled on a minibatch, or to choose among several
draws. :class:`InitializationContext` gives access to it.
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

_AS_BUILT = frozenset({"scale", "other"})
"""Roles of tensors that start as the model builds them, if it has a start of its own."""


@dataclass(frozen=True)
class InitializationContext:
    """Data that an initializer may use besides the layout; all on the CPU and in float64.

    Attributes:
        x: training inputs ``[n, …]``.
        y: training targets: class numbers ``[n]`` or values ``[n, outputs]``.
        outputs: number of outputs of the model.
        losses: parameters ``[P]`` → the objective on the whole training set, weight decay included.
        traced: parameters ``[P]`` and indices of examples ``[m]`` → name and value ``[m, …]`` of
            each intermediate result of the forward pass.
        built: generator → parameters ``[P]`` of a newly built model; None for models without a
            start of their own.
    """

    x: torch.Tensor
    y: torch.Tensor
    outputs: int
    losses: Callable[[torch.Tensor], float]
    traced: Callable[[torch.Tensor, torch.Tensor], Mapping[str, torch.Tensor]]
    built: Callable[[torch.Generator], torch.Tensor] | None = None


class Start(Component):
    """Base of all initializers: how the parameters of a run start."""

    kind: ClassVar[str] = "initializer"
    section: ClassVar[Section] = Section(
        title="Initializer",
        plural="Initializers",
        chapter="Initialization",
        order=40,
        form_order=50,
        default="normalized",
    )

    from_constructor: ClassVar[bool] = False
    """Whether all parameters are those of a newly built model.

    Only models that have such a start (``has_built_start``) can be combined with it, and it is
    their default.
    """

    @abstractmethod
    def start(
        self,
        layout: Layout,
        generator: torch.Generator,
        context: InitializationContext | None = None,
    ) -> torch.Tensor:
        """Return initial parameters ``[P]`` in float64 on the CPU.

        Args:
            layout: the tensors of the model.
            generator: source of all draws.
            context: the model and its training set; without it, the result is the first draw,
                without any adjustment.
        """


class Initializer(Start):
    """Base of the initializers that draw weights and set biases.

    Tensors that are neither, as a user's module may have, start as the model builds them.
    """

    bias: float = number(
        0.0,
        "Bias",
        slider=(-1.0, 1.0),
        help="Every bias starts at this value.",
        why="Zero suits most initializations of weights; 0.1 keeps ReLU units active at the start.",
    )

    gate_bias: float = number(
        1.0,
        "Gate bias",
        slider=(-2.0, 4.0),
        help="Biases of gating units (the forget gate of an LSTM) start at this value.",
        why="At 1 the gate is open at the start, so all units have a chance to learn.",
    )

    output_bias: Literal["same", "marginal"] = choice(
        "same",
        "Output bias",
        help="Same as other biases, or marginal: the values for which outputs with zero weights"
        " are right on average, log class frequencies or mean targets.",
        why="With marginal biases and small random weights the outputs start near the marginal"
        " distribution, so the first steps need not learn it.",
    )

    tries: int = integer(
        1,
        "Number of draws",
        ge=1,
        le=1000,
        log=True,
        slider=(1, 100),
        help="Number of independent draws; the one with the lowest objective on the training set"
        " is used.",
        why="With 1 the parameters follow the rule exactly; the lowest initial objective says"
        " little about the final one.",
    )

    @abstractmethod
    def weight(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        """Draw a weight tensor in float64, of the shape of ``parameter``."""

    def start(
        self,
        layout: Layout,
        generator: torch.Generator,
        context: InitializationContext | None = None,
    ) -> torch.Tensor:
        if context is None:
            return self._drawn(layout, generator, None)
        starts = [self._one(layout, generator, context) for _ in range(self.tries)]
        return min(starts, key=context.losses) if len(starts) > 1 else starts[0]

    def adjusted(
        self,
        theta: torch.Tensor,
        layout: Layout,
        generator: torch.Generator,
        context: InitializationContext,
    ) -> torch.Tensor:
        """Return drawn parameters ``theta`` ``[P]``, adjusted to the training set.

        By default they are not changed.
        """
        return theta

    def _one(
        self,
        layout: Layout,
        generator: torch.Generator,
        context: InitializationContext,
    ) -> torch.Tensor:
        built = None
        if context.built is not None and any(p.role in _AS_BUILT for p in layout.parameters):
            built = context.built(generator)
        theta = self.adjusted(self._drawn(layout, generator, built), layout, generator, context)
        if self.output_bias == "marginal":
            theta = theta.clone()
            for parameter, part in zip(
                layout.parameters, layout.split(theta.unsqueeze(0)), strict=True
            ):
                if (
                    parameter.output
                    and parameter.role == "bias"
                    and parameter.shape == (context.outputs,)
                ):
                    part.copy_(marginal(context.y, context.outputs))
        return theta

    def _drawn(
        self, layout: Layout, generator: torch.Generator, built: torch.Tensor | None
    ) -> torch.Tensor:
        parts = [self._part(parameter, generator) for parameter in layout.parameters]
        if built is not None:
            own = layout.split(built.unsqueeze(0))
            parts = [
                theirs[0] if parameter.role in _AS_BUILT else part
                for parameter, part, theirs in zip(layout.parameters, parts, own, strict=True)
            ]
        return torch.cat([part.reshape(-1) for part in parts])

    def _part(self, parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
        if parameter.role == "weight":
            return self.weight(parameter, generator)
        constants = {"bias": self.bias, "gate": self.gate_bias, "scale": 1.0, "other": 1.0}
        return torch.full(parameter.shape, constants[parameter.role], dtype=torch.float64)


def marginal(y: torch.Tensor, outputs: int) -> torch.Tensor:
    """Return the best outputs ``[outputs]`` that do not depend on the inputs.

    They are log class frequencies for class numbers ``y`` ``[n]``, and mean targets for values
    ``[n, outputs]``. A class without examples counts as half an example, so that its logarithm is
    finite.
    """
    if y.is_floating_point():
        return y.reshape(len(y), -1).double().mean(dim=0)
    counts = torch.bincount(y, minlength=outputs).double()
    return (counts.clamp(min=0.5) / len(y)).log()
