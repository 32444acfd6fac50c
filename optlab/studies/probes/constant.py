"""A number that is known: a line with which others are compared."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from optlab.core.fields import number
from optlab.studies.probes.base import Probe


class Constant(Probe):
    """A known number, the same for every seed.

    A statement about an arm and a constant is one about the arm alone: below a bound, or equal to a
    prediction within the margin.
    """

    name: ClassVar[str] = "constant"
    label: ClassVar[str] = "Constant"
    source: ClassVar[str] = "None: it is what a statement compares with."

    value: float = number(0.0, "Value", help="The number.")

    def measure(self, seed: int) -> Generator[float, None, float]:
        yield 1.0
        return self.value

    def words(self) -> str:
        return f"{self.value:g}"
