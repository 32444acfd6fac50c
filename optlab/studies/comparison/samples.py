"""What was measured of one arm of a study: one value a seed, known or only bounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput

Floats = NDArray[np.float64]
_LARGEST = 1e300
"""Size beyond which a value is only bounded, so that differences and means stay finite."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The measured values of one arm, one a seed, each as an interval that holds it.

    A value that is known has ``low == high``. One that was watched in vain up to a bound is
    right-censored: ``low`` is the bound and ``high`` is infinite. Of one that is unknown, ``low``
    is -inf and ``high`` inf. Shape ``[n]`` each, float64, and read-only. An end beyond ±1e300, as of
    a run that was diverging, becomes that bound and infinity.

    Raises:
        InvalidInput: the ends have different lengths or none, are not numbers, or do not enclose a
            finite value.
    """

    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        if self.low.ndim != 1 or self.low.shape != self.high.shape or not self.low.size:
            raise InvalidInput(
                "a sample needs one lower and one upper end a seed and at least one seed, not "
                f"arrays of the shapes {self.low.shape} and {self.high.shape}"
            )
        # The comparison is false where an end is NaN.
        fits = (self.low <= self.high) & (self.low < np.inf) & (self.high > -np.inf)
        if not fits.all():
            seed = int(np.argmin(fits))
            raise InvalidInput(
                f"seed {seed} of a sample has the ends {self.low[seed]:g} and {self.high[seed]:g}, "
                "between which no finite value lies; give a value that is unknown as -inf, inf"
            )

        low = np.where(self.low < -_LARGEST, -np.inf, np.minimum(self.low, _LARGEST))
        high = np.where(self.high > _LARGEST, np.inf, np.maximum(self.high, -_LARGEST))
        for name, ends in (("low", low), ("high", high)):
            ends.setflags(write=False)
            object.__setattr__(self, name, ends)

    @classmethod
    def exact(cls, values: Iterable[float]) -> Sample:
        """Return a sample of known values, shape ``[n]``."""
        known = np.fromiter(values, dtype=np.float64)
        return cls(known, known)

    @property
    def n(self) -> int:
        """The number of seeds."""
        return int(self.low.size)

    @property
    def censored(self) -> NDArray[np.bool_]:
        """Which values are not known exactly, ``[n]``."""
        return self.low < self.high
