"""Pretraining a start: the hidden layers of a run, from the input up.

Each layer learns on the activations of those below. Like every start it is computed on the CPU in
float64 and is a pure function of the experiment, whatever the device and precision of the run. The
inputs of a layer are computed once: the layers below do not change any more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.pretraining.base import Layer
from optlab.core.data import Part
from optlab.core.layout import layout, linear
from optlab.core.lazy import functional, torch
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator


@dataclass(frozen=True)
class Pretrained:
    """A start after pretraining.

    ``theta``: ``[P]``, float64 on the CPU. ``words``: how long it took and what each layer reached.
    """

    theta: torch.Tensor
    words: str


def pretrained(
    experiment: Experiment, objective: Objective, training: Part, theta: torch.Tensor
) -> Pretrained:
    """Return the start ``theta`` ``[P]`` with its hidden layers pretrained.

    Raises:
        InvalidInput: the training inputs do not suit, or the numbers are no longer finite.
    """
    began = time.perf_counter()
    stack = objective.model.stack()
    assert stack is not None, "an experiment is checked before it runs"
    theta = theta.clone()
    parts = [part[0] for part in objective.layout.split(theta.unsqueeze(0))]
    x, y = torch.from_numpy(training.x).flatten(1), torch.from_numpy(training.y)
    reached: list[str] = []
    for number, (weight, bias) in enumerate(stack.layers, start=1):
        topmost = number == len(stack.layers)
        output = (parts[stack.output[0]], parts[stack.output[1]])
        source = f"pretraining/{number}"
        layer = Layer(
            number=number,
            x=x,
            y=y,
            weight=parts[weight],
            bias=parts[bias],
            head=output
            if topmost
            else _head(experiment, parts[weight].shape[0], objective.shape.outputs, source),
            activate=stack.activate,
            cost=lambda outputs, targets, weights: _cost(
                experiment.loss, outputs, targets, weights
            ),
            generator=lambda purpose, source=source: generator(
                experiment.general.seed, f"{source}/{purpose}"
            ),  # type: ignore[misc]
        )
        learned = experiment.pretraining.learn(layer)
        parts[weight].copy_(learned.weight)
        parts[bias].copy_(learned.bias)
        if topmost and learned.head is not None:
            for part, value in zip(output, learned.head, strict=True):
                part.copy_(value)
        reached.append(f"layer {number}: {learned.summary}")
        with torch.no_grad():
            x = stack.activate(functional.linear(x, parts[weight], parts[bias]))
    seconds = time.perf_counter() - began
    return Pretrained(theta, f"pretraining took {seconds:.1f} s; {'; '.join(reached)}")


def _head(
    experiment: Experiment, units: int, outputs: int, source: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an output layer for a hidden layer below the top, as the initializer draws it."""
    tensors = layout(linear("head", units, outputs, output=True))
    drawn = experiment.initializer.start(
        tensors, generator(experiment.general.seed, f"{source}/head")
    )
    weight, bias = tensors.split(drawn.unsqueeze(0))
    return weight[0], bias[0]


def _cost(
    loss: Loss, outputs: torch.Tensor, y: torch.Tensor, weights: list[torch.Tensor]
) -> torch.Tensor:
    """Return the objective of a network with outputs ``[m, outputs]`` and weights, a scalar."""
    cost = loss.per_example(outputs.unsqueeze(0), y.unsqueeze(0)).mean()
    for weight in weights:
        if loss.l2 != 0.0:
            cost = cost + 0.5 * loss.l2 * weight.square().sum()
        if loss.l1 != 0.0:
            cost = cost + loss.l1 * weight.abs().sum()
    return cost
