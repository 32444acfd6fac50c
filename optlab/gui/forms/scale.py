"""A slider's positions against a field's values, on a linear or a logarithmic scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optlab.core.fields import Field

POSITIONS = 1000
"""Number of steps of a slider."""


@dataclass(frozen=True)
class Scale:
    """Maps positions 0 … :data:`POSITIONS` to values ``low`` … ``high``; ``whole`` rounds to whole
    numbers.
    """

    low: float
    high: float
    log: bool
    whole: bool

    def value(self, position: int) -> float | int:
        """The value at a position, with no more digits than the slider can tell apart."""
        share = position / POSITIONS
        if self.log:
            exact = self.low * math.exp(share * math.log(self.high / self.low))
        else:
            exact = self.low + (self.high - self.low) * share
        if self.whole:
            return round(exact)
        return (
            float(f"{exact:.3g}")
            if self.log
            else round(exact, max(0, 3 - math.floor(math.log10(self.high - self.low))))
        )

    def position(self, value: float) -> int:
        """The position of a value; the nearest end for values outside."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return round(share * POSITIONS)


def scale(field: Field) -> Scale | None:
    """The scale of a field's slider; None where the field has none."""
    if field.slider is None:
        return None
    low, high = field.slider
    return Scale(low, high, field.log and low > 0.0, field.kind == "integer")
