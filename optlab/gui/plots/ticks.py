"""Tick positions and labels: few, round and short."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_PLAIN = (1e-3, 1e5)
"""Magnitudes that are written out; others get a power of ten."""
_MAX_POWER = 300
"""Powers of ten beyond which a logarithmic axis has no ticks: doubles end there."""
_CLOSER = 0.6
"""Share of the minimum distance that two ticks keep where there would be one alone."""
Levels = list[tuple[float | None, list[float]]]


def power_of_ten(exponent: int) -> str:
    """Return a power of ten as text, such as ``10⁻³``."""
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def readable(value: float, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits.

    Examples: ``0.1235``, ``1.235·10⁻⁷``, ``12,350``; ``not finite`` for NaN and infinities.
    """
    if not math.isfinite(value):
        return "not finite"
    if value == 0.0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent <= 6:
        # Split the formatted text, because 10**exponent underflows below 1e-308.
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{_trimmed(mantissa)}·{power_of_ten(int(power))}".replace(
            "-", "−", 1 if value < 0 else 0
        )
    return _trimmed(f"{value:,.{max(0, digits - 1 - exponent)}f}").replace("-", "−")


def step_labels(values: Sequence[float], spacing: float) -> list[str]:
    """Return labels of steps with SI prefixes: ``0``, ``500``, ``10k``, ``2.5M``.

    Steps are written out where the prefix would need more than two decimals.
    """
    largest = max((abs(value) for value in values), default=0.0)
    for size, prefix in _PREFIXES:
        if largest >= size:
            decimals = _decimals(spacing / size)
            if decimals > 2:
                break
            return [
                f"{_trimmed(f'{value / size:.{decimals}f}')}{prefix}" if value else "0"
                for value in values
            ]
    return [f"{value:,.{_decimals(spacing)}f}".replace("-", "−") for value in values]


def value_labels(values: Sequence[float], spacing: float, exponent: int = 0) -> list[str]:
    """Return labels of values with as many decimals as the spacing needs.

    Very large and very small values are written with a power of ten.

    Args:
        exponent: a value ``v`` stands for ``v * 10**exponent``.
    """
    largest = max((abs(value) for value in values), default=0.0)
    if (
        exponent == 0
        and (largest == 0.0 or _PLAIN[0] * 5 <= largest < _PLAIN[1])
        and _decimals(spacing) <= 6
    ):
        return [
            f"{value:,.{_decimals(spacing)}f}".replace("-", "−") if value else "0"
            for value in values
        ]
    shift = math.floor(math.log10(largest)) if largest > 0.0 else 0
    decimals = _decimals(spacing / 10.0**shift)
    return [
        f"{value / 10.0**shift:.{decimals}f}·{power_of_ten(exponent + shift)}".replace(
            "-", "−", value < 0
        )
        if value
        else "0"
        for value in values
    ]


def _decimals(spacing: float) -> int:
    return max(0, math.ceil(-math.log10(spacing) - 1e-6)) if spacing > 0.0 else 0


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def linear_ticks(low: float, high: float, size: float, min_gap: float) -> Levels:
    """Return labeled ticks from ``low`` to ``high``, spaced 1, 2 or 5 times a power of ten.

    One tick alone is no scale: where there is no room for two, they may be somewhat closer.

    Args:
        size: length of the axis in pixels. min_gap: minimum distance of ticks in pixels.
    """
    levels = _spaced(low, high, size, min_gap)
    if levels and len(levels[0][1]) < 2:
        closer = _spaced(low, high, size, min_gap * _CLOSER)
        return closer if closer and len(closer[0][1]) > len(levels[0][1]) else levels
    return levels


def _spaced(low: float, high: float, size: float, min_gap: float) -> Levels:
    span = high - low
    if not (span > 0.0 and math.isfinite(span) and size > 0.0):
        return []
    min_spacing = span * min_gap / size
    power = 10.0 ** math.floor(math.log10(min_spacing))
    spacing = next(
        (
            factor * power
            for factor in (1.0, 2.0, 5.0)
            if factor * power >= min_spacing * (1 - 1e-9)
        ),
        10.0 * power,
    )
    if spacing == 0.0:
        return []
    first, last = math.ceil(low / spacing - 1e-9), math.floor(high / spacing + 1e-9)
    if last - first > 1000:
        return []
    return [(spacing, [number * spacing for number in range(first, last + 1)])]


def log_ticks(low: float, high: float, size: float, min_gap: float) -> Levels:
    """Return ticks of a logarithmic axis from ``10**low`` to ``10**high``, as logarithms.

    Decades are labeled, and their parts where few decades are visible; other ticks are unlabeled.

    Args:
        size: length of the axis in pixels. min_gap: minimum distance of labels in pixels.
    """
    low, high = max(low, -_MAX_POWER), min(high, _MAX_POWER)
    span = high - low
    if not (span > 0.0 and math.isfinite(span) and size > 0.0):
        return []
    decade = size / span
    if span < 0.6 and abs(low) < 290 and abs(high) < 290:
        levels = linear_ticks(10.0**low, 10.0**high, size, min_gap)
        return [
            (spacing, [math.log10(value) for value in values if value > 0.0])
            for spacing, values in levels
        ]
    every = next(
        (number for number in (1, 2, 3, 5, 10, 20, 50, 100) if number * decade >= min_gap), 200
    )
    inside = list(range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1))
    major = [float(exponent) for exponent in inside if exponent % every == 0]
    minor: list[float] = []
    if every == 1:
        factors = [2, 5] if decade * 0.3 >= min_gap and len(major) < 4 else []
        decades = range(math.floor(low), math.ceil(high))
        major += [exponent + math.log10(factor) for exponent in decades for factor in factors]
        minor = [
            exponent + math.log10(factor)
            for exponent in decades
            for factor in range(2, 10)
            if factor not in factors
        ]
    elif every * decade > 0 and len(inside) <= 60:
        minor = [float(exponent) for exponent in inside if exponent % every]
    return [
        (None, sorted(value for value in major if low <= value <= high)),
        (None, [value for value in minor if low <= value <= high]),
    ]


def log_labels(logs: Sequence[float], *, steps: bool = False) -> list[str]:
    """Return labels of ticks of a logarithmic axis, given as logarithms.

    All are plain numbers where all lie between 0.001 and 10,000, else all have powers of ten.
    """
    if steps:
        return [
            step_labels([round(10.0**log, 6)], 10.0 ** math.floor(log + 1e-9))[0] for log in logs
        ]
    if all(-3.0 - 1e-9 <= log <= 4.0 + 1e-9 for log in logs):
        return [
            _trimmed(f"{10.0**log:.{6}f}") if log < 3 - 1e-9 else f"{10.0**log:,.0f}"
            for log in np.round(logs, 9)
        ]
    labels = []
    for log in logs:
        exponent = math.floor(log + 1e-9)
        factor = 10.0 ** (log - exponent)
        labels.append(
            power_of_ten(exponent)
            if abs(factor - 1.0) < 1e-6
            else f"{_trimmed(f'{factor:.4g}')}·{power_of_ten(exponent)}"
        )
    return labels
