"""The mapping of slider positions to field values, on a linear or a logarithmic scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optlab.core.fields import Field

POSITIONS = 1000
"""Number of steps of a slider."""


@dataclass(frozen=True)
class Scale:
    """Maps positions 0 … :data:`POSITIONS` to values ``low`` … ``high``.

    Attributes:
        low, high: values at the ends.
        log: whether the scale is logarithmic.
        integer: whether values are rounded to integers.
    """

    low: float
    high: float
    log: bool
    integer: bool

    def value(self, position: int) -> float | int:
        """Return the value at a position, rounded to the resolution of the slider."""
        share = position / POSITIONS
        if self.log:
            exact = self.low * math.exp(share * math.log(self.high / self.low))
        else:
            exact = self.low + (self.high - self.low) * share
        if self.integer:
            return round(exact)
        return (
            float(f"{exact:.3g}")
            if self.log
            else round(exact, max(0, 3 - math.floor(math.log10(self.high - self.low))))
        )

    def position(self, value: float) -> int:
        """Return the position of a value; the nearest end for values outside."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return round(share * POSITIONS)


def scale(field: Field) -> Scale | None:
    """Return the scale of the slider of a field; None if it has no slider."""
    if field.slider is None:
        return None
    low, high = field.slider
    return Scale(low, high, field.log and low > 0.0, field.kind == "integer")
