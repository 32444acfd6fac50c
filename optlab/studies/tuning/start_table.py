"""Layer-by-layer statistics of an initialization.

Weights, activations and gradients, by the weights and by the activations, on one minibatch.

A good initializer keeps the scale of activations from layer to layer, that of gradients on the way
back, and leaves no unit dead from the start. The tables of several initializers are comparable,
because they share layers, seed and minibatch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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
        backward: gradients of the loss of each example, auxiliary heads included, by those
            intermediate results; without those by which no gradient is known.
        dead: name → share of its units that are zero for every example.
    """

    initializer: str
    label: str
    loss: float
    examples: int
    weights: tuple[Spread, ...]
    activations: tuple[Spread, ...]
    gradients: tuple[Spread, ...]
    backward: tuple[Spread, ...]
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
    results: dict[str, torch.Tensor] = {}
    heads: list[torch.Tensor] = []
    model = objective.model
    weight = model.auxiliary_weight()
    context = ForwardContext(
        training=True, trace=results.__setitem__, branch=heads.append if weight else None
    )
    losses = objective.per_example(theta.detach().requires_grad_(), x, y, context)
    targets = model.targets(x, y)
    total = losses.sum()
    for outputs in heads:
        total = total + weight * objective.loss.per_example(outputs, targets).sum()
    gradient = objective.value_and_gradient(theta, x, y)[1]
    return StartTable(
        initializer=experiment.initializer.name,
        label=experiment.initializer.label,
        loss=float(losses.detach().mean()),
        examples=x.shape[1],
        weights=tuple(_spread(name, part[0]) for name, part in trainer.layout.named(theta).items()),
        activations=tuple(_spread(name, value[0]) for name, value in results.items()),
        gradients=tuple(
            _spread(name, part[0]) for name, part in trainer.layout.named(gradient).items()
        ),
        backward=tuple(
            _spread(name, value[0]) for name, value in _gradients_by(total, results).items()
        ),
        dead={
            name: float((value[0] == 0.0).all(dim=0).double().mean())
            for name, value in results.items()
        },
    )


def _gradients_by(
    total: torch.Tensor, results: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the gradient of a number by intermediate results, where it depends on them.

    A model may report a view of what it goes on with: the gradient by that is seen through the same
    view.
    """
    origins = [value if value._base is None else value._base for value in results.values()]
    if not origins:
        return {}
    gradients = torch.autograd.grad(total, origins, allow_unused=True)
    found: dict[str, torch.Tensor] = {}
    for (name, value), origin, gradient in zip(results.items(), origins, gradients, strict=True):
        if gradient is not None:
            same = torch.empty_like(origin).copy_(gradient)
            found[name] = same.as_strided(value.shape, value.stride(), value.storage_offset())
    return found


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
