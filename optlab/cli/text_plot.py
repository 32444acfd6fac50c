"""A curve drawn in characters, for terminals and logs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

WIDTH, HEIGHT = 64, 12


def plot(
    x: Sequence[float],
    y: Sequence[float],
    marks: Mapping[str, float],
    *,
    log_x: bool = True,
    log_y: bool,
) -> Iterator[str]:
    """Lines of a plot of ``y`` over ``x``.

    Args:
        x: rising, and above 0 on a logarithmic axis. y: values that are not finite are left out.
        marks: character → place on the x axis, explained below the axis.
        log_x: whether the x axis is logarithmic.
        log_y: whether the y axis is logarithmic; only where all values are above 0.
    """
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
    log_y = log_y and all(b > 0.0 for _, b in points)
    heights = [math.log10(b) if log_y else b for _, b in points]
    low, high = min(heights), max(heights)

    def along(a: float) -> float:
        return math.log10(a) if log_x else a

    left, right = along(x[0]), along(x[-1])

    def column(a: float) -> int:
        return round((WIDTH - 1) * (along(a) - left) / (right - left)) if right > left else 0

    rows = [[" "] * WIDTH for _ in range(HEIGHT)]
    for (a, _), height in zip(points, heights, strict=True):
        row = round((HEIGHT - 1) * (high - height) / (high - low)) if high > low else 0
        rows[row][column(a)] = "*"
    for number, row_text in enumerate(rows):
        height = high - (high - low) * number / (HEIGHT - 1)
        label = (
            f"{10.0**height if log_y else height:9.3g}"
            if number in (0, HEIGHT // 2, HEIGHT - 1)
            else " " * 9
        )
        yield f"{label} | {''.join(row_text)}".rstrip()
    below = [" "] * WIDTH
    for character, place in marks.items():
        if x[0] <= place <= x[-1]:
            below[column(place)] = character
    yield f"{'':9} +-{'-' * WIDTH}"
    yield f"{'':9}   {''.join(below)}".rstrip()
    first, last = f"{x[0]:.3g}", f"{x[-1]:.3g}"
    yield f"{'':9}   {first}{last:>{WIDTH - len(first)}}"
