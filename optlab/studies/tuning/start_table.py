"""Layer-by-layer statistics of an initialization.

Weights, activations and gradients on one minibatch.

A good initializer keeps the scale of activations from layer to layer, that of gradients on the way
back, and leaves no unit dead from the start. The tables of several initializers are comparable,
because they share layers, seed and minibatch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from optlab.catalogue.models.base import ForwardContext
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer


@dataclass(frozen=True)
class Spread:
    """Statistics of the values of one tensor.

    Attributes:
        name: of the parameter tensor, or of the layer's result. shape: for one run; for
            activations with the examples first.
        mean, std: over all values; std divides by their number. least, most: minimum and maximum.
        norm: Euclidean norm of all values.
    """

    name: str
    shape: tuple[int, ...]
    mean: float
    std: float
    least: float
    most: float
    norm: float


@dataclass(frozen=True)
class StartTable:
    """Statistics of one initialization.

    Attributes:
        initializer, label: its name and its label. loss: mean loss on the minibatch, without
            weight decay. examples: number of examples in the minibatch.
        weights, gradients: one for each parameter tensor, in the order of the layout; gradients
            of the objective, weight decay included.
        activations: one for each intermediate result, in the order of the forward pass.
        dead: name → share of its units that are zero for every example.
    """

    initializer: str
    label: str
    loss: float
    examples: int
    weights: tuple[Spread, ...]
    activations: tuple[Spread, ...]
    gradients: tuple[Spread, ...]
    dead: dict[str, float]


def start_table(experiment: Experiment) -> StartTable:
    """Return the table of the experiment's own initialization.

    It is computed on the first minibatch of the run, in float64 on the CPU.

    Raises:
        InvalidInput: the experiment cannot be run.
    """
    general = experiment.general.model_copy(update={"precision": "float64", "device": "cpu"})
    trainer = Trainer([dataclasses.replace(experiment, general=general)])
    theta, objective = trainer.theta, trainer.objective
    x, y = trainer.batch_of(0)
    activations: list[Spread] = []
    dead: dict[str, float] = {}

    def trace(name: str, value: torch.Tensor) -> None:
        result = value[0]
        activations.append(_spread(name, result))
        dead[name] = float((result == 0.0).all(dim=0).double().mean())

    with torch.no_grad():
        loss = float(objective.losses(theta, x, y, ForwardContext(training=True, trace=trace))[0])
    gradient = objective.value_and_gradient(theta, x, y)[1]
    return StartTable(
        initializer=experiment.initializer.name,
        label=experiment.initializer.label,
        loss=loss,
        examples=x.shape[1],
        weights=tuple(_spread(name, part[0]) for name, part in trainer.layout.named(theta).items()),
        activations=tuple(activations),
        gradients=tuple(
            _spread(name, part[0]) for name, part in trainer.layout.named(gradient).items()
        ),
        dead=dead,
    )


def start_tables(experiment: Experiment, initializers: Sequence[str]) -> list[StartTable]:
    """Return a table for each initializer, with its default fields.

    Raises:
        InvalidInput: a name is unknown, or an experiment cannot be run.
    """
    return [start_table(experiment.with_value("initializer.name", name)) for name in initializers]


def _spread(name: str, values: torch.Tensor) -> Spread:
    flat = values.detach().double().reshape(-1)
    return Spread(
        name=name,
        shape=tuple(values.shape),
        mean=float(flat.mean()),
        std=float(flat.std(correction=0)),
        least=float(flat.min()),
        most=float(flat.max()),
        norm=float(torch.linalg.vector_norm(flat)),
    )
