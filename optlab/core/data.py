"""Examples in memory.

A split into training, validation and test parts, standardized on the training part.

NumPy only; the engine moves parts to a device in the precision of the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LearningTask = Literal["classes", "regression"]


@dataclass(frozen=True)
class DataShape:
    """The properties of data that a model needs before any example is loaded.

    Attributes:
        inputs: shape of one example (``(64,)``; ``(8, 8)`` for an image).
        outputs: number of classes, or of target values.
        task: whether targets are classes or real numbers.
    """

    inputs: tuple[int, ...]
    outputs: int
    task: LearningTask

    @property
    def width(self) -> int:
        """Number of input values of one example, flattened."""
        return int(np.prod(self.inputs))


@dataclass(frozen=True)
class Part:
    """One part of a data set.

    ``x``: ``[n, *inputs]`` float64; ``y``: ``[n]`` int64 class numbers or ``[n, outputs]`` float64.
    """

    x: NDArray[np.float64]
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Data:
    """A data set, split into three parts.

    Attributes:
        shape: see :class:`DataShape`.
        training, validation, test: the parts; disjoint; validation and test may be empty.
        input_names: a name for each input value, or ().
        class_names: a name for each class, or () for regression.
        offset, scale: standardization: ``x = (raw − offset) / scale``, shapes ``[*inputs]``.
    """

    shape: DataShape
    training: Part
    validation: Part
    test: Part
    input_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    scale: NDArray[np.float64] = field(default_factory=lambda: np.ones(()))


def split_indices(
    n: int,
    validation: float,
    test: float,
    rng: np.random.Generator,
    classes: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training, validation and test parts of ``n`` examples.

    With ``classes`` every class is divided in the same proportions (stratified): the shuffled
    examples of each class are spread evenly over the unit interval, and each part is a subinterval.

    Args:
        validation, test: shares of all examples, each in [0, 1).
        classes: class of each example, ``[n]``; None for an unstratified split.
    """
    order = rng.permutation(n)
    if classes is not None:
        position = np.empty(n)
        for label in np.unique(classes):
            members = order[classes[order] == label]
            position[members] = (np.arange(len(members)) + 0.5) / len(members)
        order = order[np.argsort(position[order], kind="stable")]
    n_test, n_validation = round(n * test), round(n * validation)
    # Shuffle each part again: consecutive examples must not cycle through the classes.
    test_part, validation_part, training_part = (
        rng.permutation(part) for part in np.split(order, [n_test, n_test + n_validation])
    )
    return training_part, validation_part, test_part


def filled(x: NDArray[np.float64], training: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``x`` ``[n, *inputs]`` with each nan replaced by the input's mean over ``training``.

    Only the rows ``training`` count, so that nothing of the other parts reaches the training data.
    An input without any value there becomes 0.
    """
    missing = np.isnan(x)
    if not missing.any():
        return x
    present = ~missing[training]
    counts = present.sum(axis=0)
    means = np.where(present, x[training], 0.0).sum(axis=0) / np.maximum(counts, 1)
    return np.where(missing, means, x)


def unit_ranged(
    x: NDArray[np.float64], training: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scale each input of ``x`` ``[n, *inputs]`` to the range 0 to 1 over the rows ``training``.

    Return the scaled inputs, the offset and the scale used.

    An input that is constant over the training part becomes 0; other rows may leave the range.
    """
    offset = x[training].min(axis=0)
    scale = x[training].max(axis=0) - offset
    return _scaled(x, offset, scale)


def standardized(
    x: NDArray[np.float64], training: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Standardize ``x`` ``[n, *inputs]`` to mean 0 and variance 1 over the rows ``training``.

    Return the scaled inputs, the offset and the scale used.

    An input that is constant over the training part keeps the scale 1.
    """
    offset = x[training].mean(axis=0)
    scale = x[training].std(axis=0)
    return _scaled(x, offset, scale)


def _scaled(
    x: NDArray[np.float64], offset: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(x - offset) / scale``, offset and scale; the scale is 1 where an input is constant.

    Constant means that the values differ by rounding alone, relative to their own size: an input of
    picofarads varies as much as one of farads.
    """
    scale = np.where(scale > 1e-12 * np.abs(offset), scale, 1.0)
    return (x - offset) / scale, offset, scale
