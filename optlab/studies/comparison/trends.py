"""The slope of values over a number that orders the arms."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from optlab.core.errors import InvalidInput
from optlab.studies.comparison.effects import check_pairs, logarithms, paired
from optlab.studies.comparison.estimate import Estimate
from optlab.studies.comparison.means import BootstrapMeans
from optlab.studies.comparison.rule import Rule
from optlab.studies.comparison.samples import Floats, Sample
from optlab.studies.comparison.student import Student


class Regression(Student):
    """The slope of one straight line through all values, by least squares.

    Args:
        x: the number of each value, ``[N]``. y: the values, ``[N]``.
        arms: number of different numbers.
    """

    def __init__(self, x: Floats, y: Floats, arms: int) -> None:
        centered = x - x.mean()
        self._squares = float(centered @ centered)
        self._arms, self._count = arms, x.size
        slope = float(centered @ y) / self._squares
        residuals = y - y.mean() - slope * centered
        freedom = float(x.size - 2)
        # Residuals of values on a line are rounding errors.
        exact = float(np.abs(residuals).max()) <= 8.0 * np.finfo(float).eps * np.abs(y).max()
        variance = 0.0 if exact else float(residuals @ residuals) / max(freedom, 1.0)
        self._deviation = math.sqrt(variance)
        error = self._deviation / math.sqrt(self._squares)
        super().__init__(slope, error, freedom, "slope of one regression")

    def _planned(self, seeds: int) -> tuple[float, float]:
        count = self._arms * seeds
        squares = self._squares * count / self._count
        return self._deviation / math.sqrt(squares), float(count - 2)


def slope_of(
    samples: Mapping[str, Sample], x: Mapping[str, float], rule: Rule, *, log_x: bool, log_y: bool
) -> Estimate:
    """Return the estimate of the slope of the values over the numbers of their arms.

    Raises:
        InvalidInput: numbers or values do not fit, see ``trend``.
    """
    places = _places(samples, x, log_x=log_x)
    arms = list(samples.items())
    values = [logarithms(s, name, "a logarithmic trend") if log_y else s for name, s in arms]
    if rule.paired:
        check_pairs(arms)
        noun = "mean of the slopes seed by seed"
        return paired(values, _weights(places, np.ones(len(arms))), rule, noun)
    for name, sample in arms:
        if sample.censored.any():
            raise InvalidInput(
                f"arm {name!r} has censored values, and one regression over unpaired arms needs "
                "known ones; pair the arms by seed, or measure a value that every run has",
                "seeds.paired",
            )
    sizes = np.array([sample.n for sample in values])
    if rule.method == "bootstrap":
        groups = [sample.low for sample in values]
        return BootstrapMeans(groups, _weights(places, sizes), "slope of one regression")
    return Regression(
        np.repeat(places, sizes), np.concatenate([sample.low for sample in values]), len(arms)
    )


def _weights(places: Floats, sizes: Floats) -> list[float]:
    """Return the weights of the arms' means that give the slope of least squares."""
    centered = places - np.average(places, weights=sizes)
    weights = sizes * centered / float(sizes @ centered**2)
    return [float(weight) for weight in weights]


def _places(samples: Mapping[str, Sample], x: Mapping[str, float], *, log_x: bool) -> Floats:
    for name in samples:
        number = x.get(name, math.nan)
        if not math.isfinite(number) or (log_x and number <= 0.0):
            raise InvalidInput(
                f"a trend needs a {'positive ' if log_x else ''}number for each arm, but arm "
                f"{name!r} has {number:g}" + (" (none)" if name not in x else ""),
                "decide.statement",
            )
    places = np.array([float(x[name]) for name in samples])
    if np.unique(places).size < 2:
        raise InvalidInput(
            "a trend needs arms with at least two different numbers", "decide.statement"
        )
    return np.log(places) if log_x else places
