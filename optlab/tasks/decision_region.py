"""The decision region: what a model of two inputs predicts over their plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.tasks.model_point import ModelPoint, PartName
from optlab.tasks.model_view import View

Floats = NDArray[np.float64]
POINTS = 81
"""Points of the grid in each direction."""
MAX_POINTS = 400
"""Largest number of them."""
Area = tuple[float, float, float, float]
"""A part of the plane in the units of the source: from and to along the first input, from and to
along the second.
"""
EXAMPLES = 1500
"""Examples of a part that are drawn at most."""
_ROOM = 0.12
"""Room around the examples, as a share of their extent."""


@dataclass(frozen=True)
class PlanePoints:
    """Examples in the plane of their two inputs.

    Attributes:
        part: that they are of.
        x: inputs ``[n, 2]`` in the units of their source.
        y: class numbers ``[n]``, or target values ``[n]`` (of several the first).
        wrong: whether the model predicts another class, ``[n]``; all False for regression.
        total: number of examples of the part, of which these are the first.
    """

    part: PartName
    x: Floats
    y: NDArray[Any]
    wrong: NDArray[np.bool_]
    total: int


@dataclass(frozen=True)
class DecisionRegion:
    """What a model predicts over the plane of two inputs.

    Rows of the grid belong to the second input, columns to the first; class numbers are those of
    the data.

    Attributes:
        step: of the weights.
        names: of the two inputs.
        first: coordinates ``[G]`` along the first input. second: ``[G]`` along the second; both in
            the units of the source.
        classes: their names; () for regression.
        probabilities: predicted, ``[G, G, classes]``; None for regression, and where the outputs
            predict none.
        margins: by how much the output of each class exceeds the largest other one,
            ``[classes, G, G]``: the class is predicted where it is positive; empty for regression.
        values: predicted values ``[G, G]``, of several outputs the first; None for classes.
        points: the examples.
        whole: whether this is the plane around all examples, and not an area that was asked for.
    """

    step: int
    names: tuple[str, str]
    first: Floats
    second: Floats
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32] | None
    margins: NDArray[np.float32]
    values: Floats | None
    points: tuple[PlanePoints, ...]
    whole: bool = True

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The class that is predicted at each point of the grid, ``[G, G]``."""
        found: NDArray[np.int64] = self.margins.argmax(axis=0)
        return found


@dataclass(frozen=True)
class RegionView(View):
    """Look at the predictions over the plane of two inputs.

    Attributes:
        points: of the grid in each direction.
        area: of the plane; None for all of it, around the examples.
    """

    name: ClassVar[str] = "region"
    points: int = POINTS
    area: Area | None = None

    def refusal(self, inputs: tuple[int, ...]) -> str:
        if int(np.prod(inputs)) == 2:
            return ""
        return (
            "A decision region needs data with two inputs, such as moons or spirals, but an "
            f"example of these has {int(np.prod(inputs)):,}."
        )

    def compute(self, point: ModelPoint) -> DecisionRegion:
        if not 2 <= self.points <= MAX_POINTS:
            raise InvalidInput(
                f"--points is {self.points}, but it must be from 2 to {MAX_POINTS}.", "points"
            )
        refusal = self.refusal(point.data.shape.inputs)
        if refusal:
            raise InvalidInput(refusal, "dataset")
        shape, data = point.objective.shape, point.data
        offset, scale = (
            np.broadcast_to(value, data.shape.inputs).reshape(2)
            for value in (data.offset, data.scale)
        )
        axes = [
            np.linspace(a, b, self.points)
            for a, b in zip(*self._corners(point, offset, scale), strict=True)
        ]
        grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, *data.shape.inputs)
        outputs = _outputs(point, grid)[0]
        # Grid rows belong to the second input.
        size = (self.points, self.points)
        probabilities, values = None, None
        margins = np.zeros((0, *size), dtype=np.float32)
        if shape.task == "classes":
            chances = point.objective.loss.probabilities(outputs.unsqueeze(0))
            if chances is not None:
                probabilities = chances[0].float().numpy().reshape(*size, shape.outputs)
            margins = _margins(outputs).float().numpy().T.reshape(shape.outputs, *size)
        else:
            values = outputs[:, 0].numpy().reshape(size)
        names = data.input_names
        return DecisionRegion(
            step=point.step,
            names=(names[0], names[1]) if len(names) == 2 else ("input 1", "input 2"),
            first=axes[0] * scale[0] + offset[0],
            second=axes[1] * scale[1] + offset[1],
            classes=point.class_names(),
            probabilities=probabilities,
            margins=margins,
            values=values,
            points=tuple(
                _points(point, name)
                for name in ("training", "validation")
                if len(getattr(data, name))
            ),
            whole=self.area is None,
        )

    def _corners(self, point: ModelPoint, offset: Floats, scale: Floats) -> tuple[Floats, Floats]:
        """Return the lowest and the highest standardized inputs ``[2]`` of the grid."""
        if self.area is not None:
            ends = np.array(self.area, dtype=float).reshape(2, 2)
            if not (np.isfinite(ends).all() and (ends[:, 0] < ends[:, 1]).all()):
                raise InvalidInput(
                    f"--area is {','.join(f'{end:g}' for end in self.area)}, but it must be four "
                    "numbers: from and to along the first input, from and to along the second.",
                    "area",
                )
            return (ends[:, 0] - offset) / scale, (ends[:, 1] - offset) / scale
        everyone = np.concatenate([point.data.training.x, point.data.validation.x]).reshape(-1, 2)
        low, high = everyone.min(axis=0), everyone.max(axis=0)
        room = _ROOM * np.maximum(high - low, 1e-12)
        return low - room, high + room


def _points(point: ModelPoint, name: PartName) -> PlanePoints:
    part = point.part(name)
    x, y = part.x[:EXAMPLES], part.y[:EXAMPLES]
    wrong = np.zeros(len(x), dtype=bool)
    if point.objective.shape.task == "classes":
        wrong = _outputs(point, x)[0].argmax(dim=1).numpy() != y
    targets = y if y.ndim == 1 else y.reshape(len(y), -1)[:, 0]
    return PlanePoints(name, point.raw(x).reshape(-1, 2), targets, wrong, len(part))


def _outputs(point: ModelPoint, x: NDArray[np.float64]) -> torch.Tensor:
    """Return the outputs ``[1, n, outputs]`` for standardized inputs ``[n, *inputs]``."""
    with torch.no_grad():
        return point.objective.outputs(point.theta, torch.from_numpy(x).unsqueeze(0))


def _margins(outputs: torch.Tensor) -> torch.Tensor:
    """Return by how much each output exceeds the largest other one; both ``[n, classes]``."""
    best = outputs.topk(2, dim=1)
    first, second = best.values[:, :1], best.values[:, 1:]
    is_first = torch.zeros_like(outputs, dtype=torch.bool).scatter(1, best.indices[:, :1], True)
    return outputs - torch.where(is_first, second, first)
