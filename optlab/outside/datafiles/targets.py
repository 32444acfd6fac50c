"""Targets of array files: what is to be predicted, as class numbers or as real values.

The choice is made by one rule for every binary format: words, truth values and few whole numbers
are classes, anything else is real.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.core.data import LearningTask
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown
from optlab.outside.datafiles.csv_table import MAX_CLASSES, MAX_NUMERIC_CLASSES
from optlab.outside.datafiles.dialect import Asked

LARGEST_EXACT = 2**53
"""Whole numbers beyond this are not exact in float64."""


@dataclass(frozen=True)
class Targets:
    """``y``: class numbers ``[n]`` int64, or values ``[n, outputs]`` float64.

    ``class_names``: in order; () for regression.
    """

    y: NDArray[Any]
    class_names: tuple[str, ...]
    task: LearningTask

    @property
    def outputs(self) -> int:
        """Number of classes, or of values."""
        return len(self.class_names) if self.task == "classes" else int(self.y.shape[1])


def targets(where: str, raw: NDArray[Any], asked: Asked) -> Targets:
    """Targets from an array of words, truth values or finite numbers, ``[n]`` or ``[n, outputs]``.

    Args:
        where: what messages call the array (``"data.npz, array 'y'"``).

    Raises:
        InvalidInput: the array is no such thing, or holds one class only or too many.
    """
    if raw.ndim not in (1, 2) or raw.size == 0:
        raise InvalidInput(
            f"{where} has the shape {list(raw.shape)}, but targets are one number a row, or one "
            "row of numbers.",
            "dataset.path",
        )
    words = raw.dtype.kind in "Ub"
    values = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if asked != "regression" and is_one_hot(values):
        values = values.argmax(axis=1)
    if asked == "classes" and values.ndim == 2:
        raise InvalidInput(
            f"{where} has {raw.shape[1]} columns that are not one-hot (a 1 and else 0 in every "
            "row), "
            "but classes are one number or word a row.",
            "dataset.task",
        )
    if asked == "classes" or (asked == "auto" and values.ndim == 1 and (words or _few(values))):
        return _classes(where, values)
    if raw.dtype.kind == "U":
        raise InvalidInput(
            f"{where} holds words ({shown(str(raw.flat[0]))}), but task regression needs numbers.",
            "dataset.task",
        )
    return Targets(values.astype(np.float64).reshape(len(raw), -1), (), "regression")


def is_one_hot(values: NDArray[Any]) -> bool:
    """Return whether every row of ``values`` ``[n, K]`` is a 1 and else 0, as classes are encoded.

    A column without any 1 is a class without an example, which an encoder does not write.
    """
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf":
        return False
    ones = values == 1
    return bool(
        (ones | (values == 0)).all() and (ones.sum(axis=1) == 1).all() and ones.any(axis=0).all()
    )


def _few(values: NDArray[Any]) -> bool:
    """Whether numbers look like classes.

    Few different whole ones, or integers that count 0, 1, 2, … without a gap.
    """
    distinct = np.unique(values)
    if len(distinct) <= MAX_NUMERIC_CLASSES:
        return bool((distinct == np.floor(distinct)).all())
    return bool(
        values.dtype.kind in "iu"
        and len(distinct) <= MAX_CLASSES
        and distinct[0] == 0
        and distinct[-1] == len(distinct) - 1
    )


def _classes(where: str, values: NDArray[Any]) -> Targets:
    if values.dtype.kind == "f" and not (values == np.floor(values)).all():
        row = int(np.argmax(values != np.floor(values)))
        raise InvalidInput(
            f"{where}, row {row + 1}: {values[row]:g} is no whole number, so it is no class.",
            "dataset.task",
        )
    distinct, numbers = np.unique(values, return_inverse=True)
    if len(distinct) < 2:
        raise InvalidInput(
            f"{where} has one value only ({shown(distinct[0].item())}); there is nothing to learn.",
            "dataset.path",
        )
    if len(distinct) > MAX_CLASSES:
        raise InvalidInput(
            f"{where} has {len(distinct):,} different values, more than {MAX_CLASSES:,} classes; "
            "choose task regression.",
            "dataset.task",
        )
    names = tuple(_class_name(value) for value in distinct)
    return Targets(numbers.reshape(-1).astype(np.int64), names, "classes")


def _class_name(value: Any) -> str:
    plain = value.item()
    return str(int(plain)) if isinstance(plain, float) else str(plain)


def finite(where: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return ``values`` ``[n, …]`` itself, found to be finite and exact in float64.

    Raises:
        InvalidInput: a value is not; the message names its row and column, counted from 1.
    """
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values)
    elif values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        bad = (
            (values > LARGEST_EXACT) | (values < -LARGEST_EXACT)
            if values.dtype.kind == "i"
            else values > LARGEST_EXACT
        )
    else:
        return values
    if bad.any():
        place = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), values.shape))
        column = ",".join(str(i + 1) for i in place[1:])
        value = values[place]
        what = (
            f"{value} is not a finite number"
            if values.dtype.kind == "f"
            else f"{value} is too large to be exact"
        )
        raise InvalidInput(
            f"{where}, row {place[0] + 1}{f', column {column}' if column else ''}: {what}.",
            "dataset.path",
        )
    return values
