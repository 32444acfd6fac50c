"""Results on a surface as text and images: critical points, basins of attraction, races."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor

from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.relief import Floats
from optlab.gui.plots.ticks import readable
from optlab.studies.surfaces.descent import Race
from optlab.studies.surfaces.stationary import LOST, Basins, CriticalPoints
from optlab.tasks.surfaces import Method

_PLURALS = {"minimum": "minima", "maximum": "maxima", "saddle": "saddles", "kink": "kinks"}
_MAX_LISTED = 6
"""Critical points that are listed one by one."""


def critical_points_text(result: CriticalPoints) -> str:
    """Return how many critical points of each kind there are, and where the first ones lie."""
    if not result.points:
        return "No critical point lies in this part of the plane."
    kinds = [point.kind or "degenerate" for point in result.points]
    counts = ", ".join(
        f"{kinds.count(kind)} {kind if kinds.count(kind) == 1 else _PLURALS.get(kind, kind)}"
        for kind in dict.fromkeys(kinds)
    )
    listed = "; ".join(
        f"{_point(point.point)} {point.sentence}, f = {readable(point.value, 4)}"
        for point in result.points[:_MAX_LISTED]
    )
    rest = len(result.points) - _MAX_LISTED
    return f"Critical points: {counts}. {listed}{f' … and {rest} more' if rest > 0 else ''}"


def basins_image(result: Basins, colors: PlotColors) -> NDArray[np.uint8]:
    """Return RGB bytes ``[ny, nx, 3]``: a color a target, fainter where a run takes longer."""
    owner = result.owner.astype(int)
    inks = [QColor(colors.curve(index)) for index in range(len(result.targets))]
    elsewhere, lost = QColor(colors.grid), QColor(colors.foreground)
    table = np.array(
        [[ink.red(), ink.green(), ink.blue()] for ink in (*inks, lost, elsewhere)], dtype=float
    )
    image = table[np.where(owner == LOST, len(inks), owner)]  # ELSEWHERE is -1, the last row
    longest = max(1, int(result.steps.max()))
    shade = np.where(result.steps >= 0, 1.0 - 0.6 * result.steps / longest, 1.0)[..., None]
    background = QColor(colors.background)
    base = np.array([background.red(), background.green(), background.blue()], dtype=float)
    shaded = base + (image - base) * (0.35 + 0.65 * shade)
    pixels: NDArray[np.uint8] = np.clip(shaded, 0, 255).astype(np.uint8)
    return pixels


def basins_text(result: Basins, label: str) -> str:
    """Return which shares of the starts end at which target; ``label``: name of the method."""
    owner = result.owner.astype(int)
    shares = [
        f"{_point(target.point)} {float((owner == index).mean()):.0%}"
        for index, target in enumerate(result.targets)
    ]
    shares.append(f"elsewhere {float((owner == -1).mean()):.0%}")
    return (
        f"{label}, end point of each start: {'; '.join(shares)}, "
        f"diverged {float((owner == LOST).mean()):.0%}. "
        f"Fainter starts take longer, at most {max(1, int(result.steps.max())):,} steps."
    )


def race_text(race: Race, methods: Sequence[Method]) -> str:
    """Return what came of each method, or why it diverged.

    That is its final value, the length of its path, its distance from the start, and its largest
    step, which shows a leap that the end may not.
    """
    parts: list[str] = []
    for run, method in enumerate(methods):
        if race.reasons[run]:
            parts.append(f"{method.label}: diverged, {race.reasons[run]}")
        else:
            number, length = race.largest_step(run)
            parts.append(
                f"{method.label}: f = {readable(float(race.values[-1, run]), 3)}, "
                f"path length {readable(race.path_length(run), 3)}, "
                f"distance {readable(race.distance(run), 3)}, "
                f"largest step {readable(length, 3)} (step {number:,})"
            )
    return "  ·  ".join(parts)


def _point(point: Floats) -> str:
    return f"({', '.join(readable(float(x), 3) for x in point)})"
