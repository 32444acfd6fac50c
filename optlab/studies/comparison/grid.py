"""The settings that tuning tries: every combination of the values of some fields."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from optlab.core.errors import InvalidInput
from optlab.core.fields import shown

Scale = Literal["linear", "log"]
Value = float | int | str | bool

MAX_POINTS = 1000
_RANGE = ("from", "to", "points", "scale")


@dataclass(frozen=True)
class Axis:
    """The values of one field.

    Attributes:
        path: of the field. values: in the order in which they are tried.
    """

    path: str
    values: tuple[Value, ...]

    @classmethod
    def read(cls, path: str, written: Any, where: str) -> Axis:
        """Return the axis that a file writes as a list, or as a range.

        Args:
            path: of the field. written: ``[0.1, 0.3]`` or ``{ from = 1e-3, to = 1.0, points = 13,
                scale = "log" }``. where: path in the study, for messages.

        Raises:
            InvalidInput: it is neither, or its numbers are not possible.
        """
        if isinstance(written, list):
            if not written or not all(isinstance(value, Value) for value in written):
                raise InvalidInput(
                    f"{where} is {shown(written)}, but it must be a list of one value or more, or "
                    "a range { from, to, points, scale }.",
                    where,
                )
            return cls(path, tuple(dict.fromkeys(written)))
        if not isinstance(written, Mapping):
            raise InvalidInput(
                f"{where} is {shown(written)}, but it must be a list of values, or a range "
                "{ from, to, points, scale }.",
                where,
            )
        return cls(path, _range(written, where))

    def written(self) -> list[Value]:
        """Return the axis as a file writes it."""
        return list(self.values)


def _range(written: Mapping[str, Any], where: str) -> tuple[float, ...]:
    unknown = [key for key in written if key not in _RANGE]
    if unknown:
        raise InvalidInput(
            f"{where}.{unknown[0]} is not part of a range; its parts are {', '.join(_RANGE)}.",
            where,
        )
    low, high = (_finite(written.get(key), f"{where}.{key}") for key in ("from", "to"))
    points = written.get("points")
    if not isinstance(points, int) or isinstance(points, bool) or not 2 <= points <= MAX_POINTS:
        raise InvalidInput(
            f"{where}.points is {shown(points)}, but it must be a whole number from 2 to "
            f"{MAX_POINTS:,}.",
            where,
        )
    scale = written.get("scale", "linear")
    if scale not in get_args(Scale):
        raise InvalidInput(
            f"{where}.scale is {shown(scale)}, but it must be one of {', '.join(get_args(Scale))}.",
            where,
        )
    if low >= high or (scale == "log" and low <= 0.0):
        raise InvalidInput(
            f"{where} goes from {low:g} to {high:g}, but it must rise"
            f"{', from above 0 on a logarithmic scale' if scale == 'log' else ''}.",
            where,
        )
    return tuple(_spaced(low, high, points, scale))


def _spaced(low: float, high: float, points: int, scale: str) -> list[float]:
    shares = [index / (points - 1) for index in range(points)]
    if scale == "log":
        inner = [math.exp(math.log(low) + s * math.log(high / low)) for s in shares[1:-1]]
    else:
        inner = [low + share * (high - low) for share in shares[1:-1]]
    # Short decimals: a rate of 0.0031623 is repeated by typing it.
    return [low, *(float(f"{value:.5g}") for value in inner), high]


def _finite(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(f"{where} is {shown(value)}, but it must be a number.", where)
    return float(value)


def combinations(axes: Sequence[Axis]) -> list[dict[str, Value]]:
    """Return every combination of the values of some axes, as path → value."""
    paths = [axis.path for axis in axes]
    return [
        dict(zip(paths, values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]
