"""Base class of pretraining: each hidden layer learns a separate task.

The layers are trained from the input up, each on the activations of the layers below, which are
fixed by then. A component gets one layer at a time, in float64 on the CPU, and returns what it
learned.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from optlab.core.component import Component, Section
from optlab.core.fields import integer, number

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Layer:
    """A hidden layer before pretraining.

    Attributes:
        number: 1, 2, … from the input up.
        x: its inputs ``[n, in]``.
        y: training targets, class numbers ``[n]`` or values ``[n, outputs]``.
        weight: its initial weights ``[units, in]``.
        bias: its initial biases ``[units]``.
        head: initial output layer on top of it, ``[outputs, units]`` and ``[outputs]``.
        activate: its activation function.
        cost: outputs ``[m, outputs]``, targets ``[m, …]`` and weights (not biases) → the objective
            of the experiment, weight decay included.
        generator: purpose → a new random generator of this run and this layer.
    """

    number: int
    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    head: tuple[torch.Tensor, torch.Tensor]
    activate: Callable[[torch.Tensor], torch.Tensor]
    cost: Callable[[torch.Tensor, torch.Tensor, list[torch.Tensor]], torch.Tensor]
    generator: Callable[[str], torch.Generator]


@dataclass(frozen=True)
class Learned:
    """A hidden layer after pretraining.

    Attributes:
        weight: its weights ``[units, in]``.
        bias: its biases ``[units]``.
        summary: its final result as a phrase, to follow "layer 1:".
        head: the output layer on top of it, or None if there was none.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    summary: str
    head: tuple[torch.Tensor, torch.Tensor] | None = None


class Pretraining(Component):
    """Base of all pretraining methods."""

    kind: ClassVar[str] = "pretraining"
    section: ClassVar[Section] = Section(
        title="Pretraining",
        plural="Pretraining",
        chapter="Initialization",
        order=50,
        form_order=60,
        default="none",
    )
    active: ClassVar[bool] = True
    """Whether layers are pretrained."""

    def refusal(self, activation: str) -> str:
        """Return why hidden layers with this activation cannot be pretrained, or "" if they can."""
        return ""

    @abstractmethod
    def learn(self, layer: Layer) -> Learned:
        """Train a layer and return the result, which is a pure function of the layer.

        Raises:
            InvalidInput: its inputs are not suitable, or its weights are no longer finite.
        """


class Greedy(Pretraining):
    """Base of methods that use minibatch descent with momentum, the same for every layer."""

    epochs: int = integer(
        20,
        "Epochs per layer",
        ge=1,
        le=100_000,
        log=True,
        slider=(1, 200),
        help="Number of passes through the training set for each hidden layer.",
    )
    lr: float = number(
        0.1,
        "Learning rate",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(1e-4, 10.0),
        help="Constant learning rate of the task of each layer.",
    )
    momentum: float = number(
        0.5,
        "Momentum",
        symbol="α",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.99),
        help="Share of the velocity that a step keeps.",
    )
    size: int = integer(
        32,
        "Batch size",
        symbol="m",
        unit="examples",
        ge=0,
        le=10_000_000,
        log=True,
        slider=(1, 1024),
        help="Number of examples per step; 0 means all of them.",
    )
