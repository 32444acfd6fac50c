"""Examples in memory.

A split into training, validation and test parts, standardized on the training part.

NumPy only; the engine moves parts to a device in the precision of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LearningTask = Literal["classes", "regression"]

Rows = NDArray[np.int64] | slice
"""Rows of an array, by their numbers or one after another."""

_BLOCK_BYTES = 64 * 1024 * 1024
"""Bytes of inputs that are scaled at a time."""
_SMALLEST, _LARGEST = 1e-130, 1e130
"""Sizes of inputs whose squares, and sums of them, are in the range of float64."""


@dataclass(frozen=True)
class InputGroup:
    """Inputs that belong together: what a column of a table, or an array of a file, became.

    Attributes:
        name: of the column or the array.
        shape: of one example of it; its values are next to each other.
        codes: the number n of codes where each value is one of 0, …, n − 1, which name things and
            measure nothing; 0 where the values are quantities.
    """

    name: str
    shape: tuple[int, ...]
    codes: int = 0

    @property
    def width(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class DataShape:
    """The properties of data that a model needs before any example is loaded.

    Attributes:
        inputs: shape of one example (``(64,)``; ``(8, 8)`` for an image).
        outputs: number of classes, or of target values.
        task: whether targets are classes or real numbers.
        groups: what the inputs consist of, in their order, where they have one axis and each has a
            name of its own; () for data without such names.
    """

    inputs: tuple[int, ...]
    outputs: int
    task: LearningTask
    groups: tuple[InputGroup, ...] = ()

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


Scaled = tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64] | None]
"""Inputs, and the offset and the scale by which they became so, where there are any."""


def apply_by_columns(
    parts: Sequence[NDArray[np.float64]],
    rule: Callable[[NDArray[np.float64], slice], Scaled],
    untouched: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Apply a rule that treats each input by itself to parts of a data set, in place.

    It is applied to some inputs at a time, so that large parts are in memory once.

    Args:
        parts: arrays ``[n, *inputs]``; the training part is first.
        rule: gives the new values of the examples of all parts ``[N, columns]``, offset and scale,
            by the rows of the training part.
        untouched: inputs that stay as they are, ``[*inputs]``.

    Returns:
        Offset and scale, ``[*inputs]``; 0 and 1 where there are none.
    """
    shape = parts[0].shape[1:]
    width, total = math.prod(shape), sum(len(part) for part in parts)
    flat = [part.reshape(len(part), width) for part in parts]
    offset, scale = np.zeros(width), np.ones(width)
    changed = np.arange(width) if untouched is None else np.flatnonzero(~untouched.reshape(-1))
    if not len(changed):
        return offset.reshape(shape), scale.reshape(shape)
    # At least two columns: NumPy adds a single one up in another order.
    several = max(2, _BLOCK_BYTES // (8 * max(total, 1)))
    blocks = max(1, len(changed) // several)
    for columns in np.array_split(changed, blocks):
        values = np.empty((total, len(columns)))  # rows follow each other, as in the parts
        np.concatenate([part[:, columns] for part in flat], out=values)
        values, own_offset, own_scale = rule(values, slice(len(parts[0])))
        if own_offset is not None and own_scale is not None:
            offset[columns], scale[columns] = own_offset, own_scale
        begin = 0
        for part in flat:
            part[:, columns] = values[begin : begin + len(part)]
            begin += len(part)
    return offset.reshape(shape), scale.reshape(shape)


def filled(x: NDArray[np.float64], training: Rows) -> NDArray[np.float64]:
    """Return ``x`` ``[n, *inputs]`` with each nan replaced by the input's mean over ``training``.

    Only the rows ``training`` count, so that nothing of the other parts reaches the training data.
    An input without any value there becomes 0.
    """
    missing = np.isnan(x)
    if not missing.any():
        return x
    present = ~missing[training]
    counts = present.sum(axis=0)
    values, counts = np.where(present, x[training], 0.0), np.maximum(counts, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        means = values.sum(axis=0) / counts
    if not np.isfinite(means).all():
        means = (values / counts).sum(axis=0)
    return np.where(missing, means, x)


def unit_ranged(
    x: NDArray[np.float64], training: Rows
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scale each input of ``x`` ``[n, *inputs]`` to the range 0 to 1 over the rows ``training``.

    Return the scaled inputs, the offset and the scale used.

    An input that is constant over the training part becomes 0; other rows may leave the range.
    """
    near, exponents = _of_order_one(x, training)
    offset = near[training].min(axis=0)
    scale = near[training].max(axis=0) - offset
    return _scaled(near, offset, scale, exponents)


def standardized(
    x: NDArray[np.float64], training: Rows
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Standardize ``x`` ``[n, *inputs]`` to mean 0 and variance 1 over the rows ``training``.

    Return the scaled inputs, the offset and the scale used.

    An input that is constant over the training part keeps the scale 1.
    """
    near, exponents = _of_order_one(x, training)
    offset = near[training].mean(axis=0)
    scale = near[training].std(axis=0)
    return _scaled(near, offset, scale, exponents)


def _of_order_one(
    x: NDArray[np.float64], training: Rows
) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Return ``x`` with inputs whose squares would leave the range of float64 brought near 1.

    They are divided by a power of two, which is exact.

    Returns:
        The inputs, and the exponent of each, ``[*inputs]``; 0 where nothing was divided.
    """
    largest = np.abs(x[training]).max(axis=0)
    ordinary = (largest == 0.0) | ((largest > _SMALLEST) & (largest < _LARGEST))
    exponents = np.where(ordinary, 0, np.frexp(largest)[1])
    return (np.ldexp(x, -exponents) if exponents.any() else x), exponents


def _scaled(
    x: NDArray[np.float64],
    offset: NDArray[np.float64],
    scale: NDArray[np.float64],
    exponents: NDArray[np.int_],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(x - offset) / scale``, offset and scale; the scale is 1 where an input is constant.

    Constant means that the values differ by rounding alone, relative to their own size: an input of
    picofarads varies as much as one of farads.

    Args:
        exponents: of the powers of two by which x, offset and scale were divided.
    """
    constant = scale <= 1e-12 * np.abs(offset)
    scaled = (x - offset) / np.where(constant, 1.0, scale)
    return (
        scaled,
        np.ldexp(offset, exponents),
        np.where(constant, 1.0, np.ldexp(scale, exponents)),
    )
