"""Preview of a data set: counts, and a few examples in a form that can be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.datasets.base import Dataset
from optlab.core import registry
from optlab.core.data import Data, LearningTask
from optlab.tasks.task import Task
from optlab.training.control import Controls, Stop

IMAGES = 20
"""Images of a sample."""
POINTS = 1000
"""Points of a sample."""
_SIDE = 8
"""Rows and columns of inputs that are drawn as images."""


@dataclass(frozen=True)
class DatasetPreview:
    """Counts and a sample of a data set.

    Attributes:
        name, label: of the data set.
        counts: examples of each part, ``training``, ``validation``, ``test``.
        inputs: shape of one example.
        outputs: number of classes or of target values.
        task: which of the two.
        input_names, class_names: as the data set gives them, or ().
        class_counts: examples of each class in all parts, or ().
        sample: the meaning of ``x``: images ``[n, 8, 8]`` in the units of the source, points ``[n, 2]`` as
            the model sees them, or ``components``: points ``[n, 2]`` in the plane of the first two
            principal components of the training part.
        x: the sample.
        y: its class numbers ``[n]``, or target values ``[n, outputs]``.
        explained: shares of the variance along the two components; () for other samples.
    """

    name: str
    label: str
    counts: Mapping[str, int]
    inputs: tuple[int, ...]
    outputs: int
    task: LearningTask
    input_names: tuple[str, ...]
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    sample: Literal["images", "points", "components"]
    x: NDArray[np.float64]
    y: NDArray[np.int64] | NDArray[np.float64]
    explained: tuple[float, ...] = ()


@dataclass(frozen=True)
class PreviewTask(Task):
    """Preview a data set; the result is a :class:`DatasetPreview`.

    Attributes:
        dataset: a ``[dataset]`` section.
    """

    dataset: Mapping[str, Any]

    def run(self, controls: Controls) -> Iterator[DatasetPreview]:
        """See :class:`~optlab.tasks.task.Task`."""
        dataset = registry.build(Dataset, self.dataset)
        for _ in dataset.prepare():
            if any(isinstance(message, Stop) for message in controls.receive(0)):
                return
        yield preview_of(dataset, dataset.load())


def preview(values: Mapping[str, Any]) -> DatasetPreview:
    """Load the data set of a ``[dataset]`` section and return its preview.

    Raises:
        InvalidInput: the section is wrong, or the data set leaves nothing to train on.
    """
    dataset = registry.build(Dataset, values)
    return preview_of(dataset, dataset.load())


def preview_of(dataset: Dataset, data: Data) -> DatasetPreview:
    """Return the preview of a data set that was loaded."""
    parts = {"training": data.training, "validation": data.validation, "test": data.test}
    class_counts: tuple[int, ...] = ()
    if data.shape.task == "classes":
        labels = np.concatenate([part.y for part in parts.values()]).astype(np.int64)
        class_counts = tuple(np.bincount(labels, minlength=data.shape.outputs).tolist())
    sample, x, explained = _sample(data)
    return DatasetPreview(
        name=dataset.name,
        label=dataset.label,
        counts={name: len(part) for name, part in parts.items()},
        inputs=data.shape.inputs,
        outputs=data.shape.outputs,
        task=data.shape.task,
        input_names=data.input_names,
        class_names=data.class_names,
        class_counts=class_counts,
        sample=sample,
        x=x,
        y=data.training.y[: len(x)],
        explained=explained,
    )


def _sample(
    data: Data,
) -> tuple[Literal["images", "points", "components"], NDArray[np.float64], tuple[float, ...]]:
    x = data.training.x
    if data.shape.inputs in ((_SIDE * _SIDE,), (_SIDE, _SIDE)):
        # In the units of the source: standardized pixels do not look like the picture.
        return "images", (x[:IMAGES] * data.scale + data.offset).reshape(-1, _SIDE, _SIDE), ()
    if data.shape.inputs == (2,):
        return "points", x[:POINTS], ()
    points, explained = _components(x[:POINTS].reshape(len(x[:POINTS]), -1))
    return "components", points, explained


def _components(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Return coordinates ``[n, 2]`` of rows along two principal components, and their variances.

    The variances are shares of the total.
    """
    centered = x - x.mean(axis=0)
    left, size, _ = np.linalg.svd(centered, full_matrices=False)
    points = np.zeros((len(x), 2))
    count = min(2, len(size))
    points[:, :count] = left[:, :count] * size[:count]
    power = size**2
    total = power.sum()
    shares = power[:2] / total if total > 0 else np.zeros(count)
    return points, tuple(np.pad(shares, (0, 2 - len(shares))).tolist())
