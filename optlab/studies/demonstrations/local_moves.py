"""Local descent in a misleading global structure: the mountain between two asymptotes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, cast

import numpy as np

from optlab.catalogue.surfaces.base import Surface
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import integer, number
from optlab.objective.seeding import numpy_generator
from optlab.objective.surface_objective import picture
from optlab.studies.demonstrations._fits import share_interval
from optlab.studies.demonstrations._networks import optimizer
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Array,
    Axis,
    Cell,
    Curve,
    Demonstration,
    DemonstrationResult,
    Image,
    Plot,
    Progress,
    Scatter,
    counted,
    numbers,
    stream,
    table,
)
from optlab.studies.surfaces.descent import Contender, Race, race

_DRAWN = 12
_MAX_TRIES = 30
_LOWER = 0.0
"""Height that separates the two asymptotes, 1 and −1."""


class LocalMoves(Demonstration):
    """Gradient descent from many starts around a mountain.

    Every step is locally best, yet many paths lead away from the lower ground or take a long way
    around.

    To the left of the mountain the surface falls to a high asymptote, to the right to a low one.
    From the left each step downhill leads away from the lower ground, or around the mountain on a
    path that is longer than the distance it covers. No local information reveals this; starting
    elsewhere helps: if one start succeeds with probability p, the best of r does with probability
    1 − (1 − p)^r.
    """

    name: ClassVar[str] = "local_moves"
    label: ClassVar[str] = "Local moves, misleading structure"
    row: ClassVar[str] = "C17"
    sort_order: ClassVar[int] = 170
    rule: ClassVar[tuple[str, ...]] = (
        r"\frac{\text{length of the path}}{\text{distance covered}} = "
        r"\frac{\sum_k \left\| \theta_{k+1} - \theta_k \right\|}{\left\| \theta_K - \theta_0 "
        r"\right\|}",
        r"P(\text{best of}\ r\ \text{succeeds}) = 1 - (1 - p)^r",
    )
    symbols: ClassVar[dict[str, str]] = {
        "p": "share of single starts that reach the lower ground",
        "r": "number of starts, of which the best counts",
    }
    source: ClassVar[str] = (
        "Notes, Fig 8.4 and the section on poor correspondence between local and global "
        "structure; Deep Learning, section 8.2.7."
    )
    note: ClassVar[str] = (
        "The paths that bend around the mountain are the longest compared with the distance "
        "covered."
    )

    starts: int = integer(
        100,
        "Starts",
        ge=2,
        le=5000,
        log=True,
        slider=(10, 1000),
        help="Number of starts, drawn uniformly from the rectangle below.",
    )
    left: float = number(
        -2.0, "Left edge", ge=-6.0, le=5.0, slider=(-6.0, 0.0), help="Smallest x of a start."
    )
    right: float = number(
        0.5,
        "Right edge",
        ge=-5.0,
        le=6.0,
        slider=(-2.0, 6.0),
        help="Largest x of a start; it must be greater than the left edge.",
    )
    height: float = number(
        1.5,
        "Half height",
        gt=0.0,
        le=4.0,
        slider=(0.1, 4.0),
        help="Starts have y between minus and plus this value.",
    )
    rate: float = number(
        0.5,
        "Learning rate",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(0.01, 5.0),
        help="Rate of gradient descent.",
    )
    steps: int = integer(
        400,
        "Steps",
        ge=1,
        le=100_000,
        log=True,
        slider=(50, 5000),
        help="Steps from each start.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        if self.right <= self.left:
            raise InvalidInput(
                f"right is {self.right:g}, but it must be greater than left, {self.left:g}.",
                "right",
            )
        ground = cast(Surface, registry.build("surface", {"name": "mountain"}))
        rng = numpy_generator(self.seed, stream("local_moves"))
        points = np.stack(
            [
                rng.uniform(self.left, self.right, self.starts),
                rng.uniform(-self.height, self.height, self.starts),
            ],
            axis=1,
        )
        rule = optimizer("sgd", lr=self.rate)
        parts = np.array_split(points, max(1, min(5, self.starts)))
        ran: list[Race] = []
        for index, part in enumerate(parts):
            contenders = [Contender(rule, (float(x), float(y))) for x, y in part]

            control = _RaceProgress(progress, index, len(parts), self.steps)
            part_race = race(ground, contenders, self.steps, going=control)
            if control.stopped:
                return
            ran.append(part_race)
            yield self._result(ground, ran, (index + 1) / len(parts))

    def _result(self, ground: Surface, ran: list[Race], done: float) -> DemonstrationResult:
        rows: list[tuple[Cell, ...]] = []
        for part in ran:
            for run in range(len(part.contenders)):
                path, value = part.path(run), float(part.values[part.lengths[run], run])
                length, distance = part.path_length(run), part.distance(run)
                start, end = path[0], path[-1]
                reached = "lower ground" if value < _LOWER else "higher ground"
                rows.append(
                    (
                        *(float(c) for c in (*start, *end)),
                        value,
                        length,
                        distance,
                        length / distance if distance > 0.0 else None,
                        reached,
                    )
                )
        values, ratios = (
            numbers([row[4] for row in rows]),
            numbers([row[7] if row[7] is not None else np.nan for row in rows]),
        )
        good = values < _LOWER
        share = float(good.mean())
        tries = numbers(np.arange(1, min(_MAX_TRIES, len(values)) + 1))
        measured = best_of(values, tries)
        figures = {
            "share": share,
            "longest": float(np.nanmax(ratios)),
            "median": float(np.nanmedian(ratios)),
        }
        sentence = (
            f"Of {counted(len(rows), 'start')}, {good.sum()} ({share:.0%}) reach the lower "
            "ground. The ratio of "
            f"path length to distance covered has a median of {np.nanmedian(ratios):.2f} and a "
            "maximum of "
            f"{np.nanmax(ratios):.2f}."
        )
        if 0.0 < share < 1.0:
            low, high = share_interval(int(good.sum()), len(good))
            needed, most, least = (
                int(np.ceil(np.log(0.01) / np.log(1.0 - part))) for part in (share, low, high)
            )
            sentence += (
                f" By this share, the best of {counted(needed, 'start')} reaches it with a "
                f"probability of 99%; by its 95% interval, {low:.0%} to {high:.0%}, between {least} "
                f"and {most:,} are needed."
            )
            figures |= {
                "needed": float(needed),
                "needed_low": float(least),
                "needed_high": float(most),
            }
        along, heights = picture(ground, 101)
        image = Image(
            heights,
            (float(along[0][0]), float(along[0][-1])),
            (float(along[1][0]), float(along[1][-1])),
        )
        paths = [part.path(run) for part in ran for run in range(len(part.contenders))]
        ways = tuple(
            Curve(f"path {i + 1}", path[:, 0], path[:, 1], style="path")
            for i, path in enumerate(paths[:_DRAWN])
        )
        begins = np.stack([path[0] for path in paths])
        dots = tuple(
            Scatter(name, begins[which, 0], begins[which, 1])
            for name, which in (("reaches the lower ground", good), ("does not", ~good))
            if which.any()
        )
        plots = (
            Plot("Starts and paths", Axis("x"), Axis("y"), ways, dots, image),
            Plot(
                "Path and distance",
                Axis("distance covered"),
                Axis("length of the path"),
                (_even(rows),),
                (_lengths(rows),),
            ),
            Plot(
                "Best of several starts",
                Axis("starts r"),
                Axis("probability of the lower ground"),
                (
                    Curve("counted over all choices", tries, measured),
                    Curve("1 − (1 − p)ʳ", tries, 1.0 - (1.0 - share) ** tries, style="predicted"),
                ),
            ),
        )
        headings = (
            "start x",
            "start y",
            "end x",
            "end y",
            "height",
            "path",
            "distance",
            "path / distance",
            "reached",
        )
        return DemonstrationResult(table(headings, rows), plots, sentence, figures, done)


class _RaceProgress:
    """Connects a race to the progress of the demonstration; called before each step."""

    def __init__(self, progress: Progress, part: int, parts: int, steps: int) -> None:
        self._progress, self._part, self._parts, self._steps = progress, part, parts, steps
        self.stopped = False

    def __call__(self, step: int) -> bool:
        self._progress.report((self._part + step / self._steps) / self._parts)
        self.stopped = not self._progress.should_continue()
        return not self.stopped


def best_of(values: Array, tries: Array) -> Array:
    """Return the share of all choices of r different starts whose best reaches the lower ground.

    Args:
        values: final heights, ``[n]``. tries: numbers r of starts, ``[T]``; the result is ``[T]``.
    """
    n, bad = len(values), int((values >= _LOWER).sum())
    # The probability that all r are bad, drawn without replacement: bad/n · (bad − 1)/(n − 1) · …
    drawn = np.arange(int(tries.max()))
    factors = np.maximum(bad - drawn, 0) / (n - drawn)
    return numbers(1.0 - np.cumprod(factors)[tries.astype(np.int64) - 1])


def _lengths(rows: list[tuple[Cell, ...]]) -> Scatter:
    return Scatter("starts", numbers([row[6] for row in rows]), numbers([row[5] for row in rows]))


def _even(rows: list[tuple[Cell, ...]]) -> Curve:
    longest = max(cast(float, row[6]) for row in rows)
    return Curve(
        "straight line", numbers([0.0, longest]), numbers([0.0, longest]), style="predicted"
    )
