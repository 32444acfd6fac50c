"""The examples that a model gets wrong, by their loss, and its confusion matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.core.data import Data
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.tasks.model_point import ModelPoint, PartName
from optlab.tasks.model_view import View

Floats = NDArray[np.float64]
COUNT = 24
"""Examples that are shown, by default."""
MAX_COUNT = 1000
"""Largest number of them."""
_PIXEL = "pixel"
"""How the names of the inputs of pictures begin."""
_MIN_SIDE = 12
"""Rows and columns from which inputs without names count as a picture: sequences have few values a
step.
"""


@dataclass(frozen=True)
class HardExamples:
    """The examples of a part with the largest loss, and for classes those alone that are wrong.

    Attributes:
        step: of the weights.
        part: of the data.
        examples: number of examples of the part. wrong: how many of them have another class than
            is predicted; for regression 0.
        loss: mean over the part.
        classes: their names; () for regression.
        confusion: how many examples of class i (row) are predicted to be of class j,
            ``[classes, classes]``; empty for regression.
        recall: share of the examples of each class that are predicted to be of it, ``[classes]``;
            NaN for a class without examples.
        indices: of the examples shown, within the part, by falling loss ``[k]``.
        losses: their losses ``[k]``.
        targets: their classes ``[k]``, or target values ``[k, outputs]``.
        predicted: the classes ``[k]``, or values ``[k, outputs]``, that are predicted.
        chances: probability that is predicted for the true class, ``[k]``; NaN where there is none.
        inputs: in the units of the source, ``[k, *inputs]``.
        input_names: of the flattened inputs, or ().
        pictures: whether the inputs of an example are a picture, its last two axes rows and columns.
    """

    step: int
    part: PartName
    examples: int
    wrong: int
    loss: float
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    recall: Floats
    indices: NDArray[np.int64]
    losses: Floats
    targets: NDArray[Any]
    predicted: NDArray[Any]
    chances: Floats
    inputs: Floats
    input_names: tuple[str, ...]
    pictures: bool


@dataclass(frozen=True)
class ExamplesView(View):
    """Look at what the model gets wrong.

    Attributes:
        part: of the data; "" for the validation part where there is one, else the training part.
        count: number of examples to show, at most.
    """

    name: ClassVar[str] = "examples"
    part: PartName | Literal[""] = ""
    count: int = COUNT

    def compute(self, point: ModelPoint) -> HardExamples:
        if not 0 <= self.count <= MAX_COUNT:
            raise InvalidInput(
                f"--count is {self.count}, but it must be from 0 to {MAX_COUNT:,}.", "count"
            )
        name = self.part or point.default_part
        part = point.part(name)
        objective, theta = point.objective, point.theta
        x, y = torch.from_numpy(part.x), torch.from_numpy(part.y)
        losses = objective.evaluate(theta, x, y).losses[0].numpy()
        found = objective.predictions(theta, x, y)
        if found is None:
            raise InvalidInput(
                f"{point.experiment.model.label} has a loss of its own and predicts nothing, so "
                "no example is right or wrong.",
                "model.name",
            )
        predicted, targets = (values[0].numpy() for values in found)
        classes = point.class_names()
        order = np.argsort(-losses, kind="stable")
        wrong = predicted != targets if classes else np.zeros(len(losses), dtype=bool)
        shown = (order[wrong[order]] if classes else order)[: self.count]
        confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        if classes:
            np.add.at(confusion, (targets, predicted), 1)
        return HardExamples(
            step=point.step,
            part=name,
            examples=len(part),
            wrong=int(wrong.sum()),
            loss=float(losses.mean()),
            classes=classes,
            confusion=confusion,
            recall=recall(confusion),
            indices=shown,
            losses=losses[shown],
            targets=targets[shown],
            predicted=predicted[shown],
            chances=_chances(point, part.x[shown], targets[shown] if classes else None),
            inputs=point.raw(part.x[shown]),
            input_names=point.data.input_names,
            pictures=are_pictures(point.data),
        )


def recall(confusion: NDArray[np.int64]) -> Floats:
    """Return the share ``[K]`` of each row of ``[K, K]`` that is on the diagonal; NaN of an empty row."""
    rows = confusion.sum(axis=1)
    return np.where(rows > 0, np.diag(confusion) / np.maximum(rows, 1), math.nan)


def are_pictures(data: Data) -> bool:
    """Return whether the inputs of an example can be drawn as a picture.

    Their names say so; without names, the last two axes of an example that has two or three.
    """
    inputs, names = data.shape.inputs, data.input_names
    if len(inputs) not in (2, 3):
        return False
    return names[0].startswith(_PIXEL) if names else min(inputs[-2:]) >= _MIN_SIDE


def _chances(point: ModelPoint, x: Floats, classes: NDArray[Any] | None) -> Floats:
    """Return the probability ``[k]`` that is predicted for a class of each example."""
    if classes is None or not len(x):
        return np.full(len(x), math.nan)
    with torch.no_grad():
        outputs = point.objective.outputs(point.theta, torch.from_numpy(x).unsqueeze(0))
        chances = point.objective.loss.probabilities(outputs)
    if chances is None:
        return np.full(len(x), math.nan)
    found: Floats = chances[0].numpy()[np.arange(len(x)), classes]
    return found
