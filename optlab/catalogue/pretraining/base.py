"""What pretraining is: each hidden layer learns a task of its own on the activations of the layers
below, which stand by then.

The engine goes through the layers from the input up; a component sees one layer at a time, in
float64 on the CPU, and says what it learned.
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
    """A hidden layer that is about to learn.

    Attributes:
        number: 1, 2, … from the input up.
        x: what it gets, ``[n, in]``. y: training targets, class numbers ``[n]`` or values ``[n,
            outputs]``.
        weight, bias: its start, ``[units, in]`` and ``[units]``.
        head: start of an output layer on top of it, ``[outputs, units]`` and ``[outputs]``.
        activate: its activation.
        cost: outputs ``[m, outputs]``, targets ``[m, …]`` and weights (not biases) → the objective
            of the experiment, weight decay included.
        generator: purpose → a fresh generator that belongs to this run and this layer.
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
    """What a layer learned.

    Attributes:
        weight, bias: ``[units, in]`` and ``[units]``. words: what it reached, to follow "layer 1:".
        head: the output layer that was on top of it, or None where there was none.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    words: str
    head: tuple[torch.Tensor, torch.Tensor] | None = None


class Pretraining(Component):
    """Base of all ways to pretrain."""

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
    """Whether anything is pretrained."""

    def refusal(self, activation: str) -> str:
        """Why hidden layers with this activation cannot be pretrained so, as a sentence for the
        user; "" where they can.
        """
        return ""

    @abstractmethod
    def learn(self, layer: Layer) -> Learned:
        """What the layer learns: a pure function of it.

        Raises:
            InvalidInput: its inputs do not suit, or its numbers ceased to be finite.
        """


class Greedy(Pretraining):
    """Base of those that do learn: minibatch descent with momentum, the same for every layer."""

    epochs: int = integer(
        20,
        "Epochs a layer",
        ge=1,
        le=100_000,
        log=True,
        slider=(1, 200),
        help="Passes through the training set that each hidden layer learns for.",
    )
    lr: float = number(
        0.1,
        "Learning rate",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(1e-4, 10.0),
        help="Learning rate of each layer's own task, constant.",
    )
    momentum: float = number(
        0.5,
        "Momentum",
        symbol="α",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.99),
        help="Share of the last change that is repeated.",
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
        help="Examples in a step; 0 for all of them.",
    )
