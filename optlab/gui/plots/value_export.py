"""Values of curves as a table of lines ``curve,step,value``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray


class CurveValues(NamedTuple):
    """Values of one curve.

    Attributes:
        label: name of the curve. steps: ``[n]``. values: ``[n]``, NaN in a gap.
    """

    label: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def write_values(file: TextIO, curves: Iterable[CurveValues], separator: str) -> None:
    """Write a header and a line for each value; the value is empty in a gap."""
    writer = csv.writer(file, delimiter=separator, lineterminator="\n")
    writer.writerow(("curve", "step", "value"))
    for label, steps, values in curves:
        writer.writerows(
            (label, step, "" if math.isnan(value) else repr(value))
            for step, value in zip(steps.tolist(), values.tolist(), strict=True)
        )
