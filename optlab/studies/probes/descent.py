"""The end of a descent on a surface."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from optlab.catalogue.averaging.base import Averaging
from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.surfaces.base import Surface
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import choice, integer, number, shown, text
from optlab.objective.seeding import generator
from optlab.studies.probes._tables import table
from optlab.studies.probes.base import Probe
from optlab.studies.surfaces.descent import Contender, Race, race


class Descent(Probe):
    """A number of one descent on a surface: how low it ended, how far it went, how it moved.

    The start is shifted by a random offset, so that a statement is not about one point only.
    """

    name: ClassVar[str] = "descent"
    label: ClassVar[str] = "Descent on a surface"
    source: ClassVar[str] = "Notes, figures 4.5, 8.3, 8.4 and 8.5."

    of: Literal[
        "value", "distance", "path_over_distance", "largest_step", "last_step", "reversals"
    ] = choice(
        "value",
        "Of",
        help="The value at the end; the distance from start to end; the length of the path over "
        "that distance; the largest or the last step; or the share of steps that turn back, by "
        "more than a right angle, from the one before.",
    )
    surface: str = text(
        '{ name = "quadratic" }', "Surface", longest=2000, help="A section, as an inline table."
    )
    start: str = text("", "Start", help="Its coordinates, as [1.0, 2.0]; by default the surface's.")
    spread: float = number(
        0.0, "Spread", ge=0.0, help="Standard deviation of the offset of each coordinate."
    )
    optimizer: str = text(
        '{ name = "sgd" }', "Optimizer", longest=2000, help="A section, as an inline table."
    )
    schedule: str = text(
        '{ name = "constant" }', "Schedule", longest=2000, help="A section, as an inline table."
    )
    clipping: str = text(
        '{ name = "none" }', "Clipping", longest=2000, help="A section, as an inline table."
    )
    averaging: str = text(
        '{ name = "none" }', "Averaging", longest=2000, help="A section, as an inline table."
    )
    noise: float = number(
        0.0, "Noise", ge=0.0, help="Standard deviation of the noise on each gradient component."
    )
    steps: int = integer(200, "Steps", ge=1, le=1_000_000, help="Number of steps.")

    def measure(self, seed: int) -> Generator[float, None, float]:
        surface: Surface = registry.build(Surface, table(self.surface, "probe.surface"))
        found = race(surface, [self._contender(surface, seed)], self.steps, self.noise)
        yield 1.0
        if found.endings[0] == "diverged":
            return math.inf
        return _FIGURES[self.of](found)

    def words(self) -> str:
        return f"{self.of.replace('_', ' ')} of a descent"

    def _contender(self, surface: Surface, seed: int) -> Contender:
        tables: Mapping[str, tuple[Any, str]] = {
            "optimizer": (Optimizer, self.optimizer),
            "schedule": (Schedule, self.schedule),
            "clipping": (Clipping, self.clipping),
            "averaging": (Averaging, self.averaging),
        }
        parts = {
            name: registry.build(kind, table(written, f"probe.{name}"), f"probe.{name}")
            for name, (kind, written) in tables.items()
        }
        return Contender(start=self._start(surface, seed), seed=seed, **parts)

    def _start(self, surface: Surface, seed: int) -> tuple[float, ...]:
        point = surface.starts()[0].point
        if self.start:
            point = table(f"{{ at = {self.start} }}", "probe.start")["at"]
            if not isinstance(point, list) or not all(
                isinstance(one, int | float) for one in point
            ):
                raise InvalidInput(
                    f"probe.start is {shown(self.start)}, but it must be as [1.0, 2.0].",
                    "probe.start",
                )
        draw = np.random.default_rng(generator(seed, "probe/start").initial_seed())
        return tuple(float(one + self.spread * draw.standard_normal()) for one in point)


def _moves(found: Race) -> Any:
    return np.diff(found.path(0), axis=0)


def _length(found: Race, index: int) -> float:
    moves = np.linalg.norm(_moves(found), axis=1)
    return float(moves[index]) if len(moves) else 0.0


def _reversals(found: Race) -> float:
    moves = _moves(found)
    if len(moves) < 2:
        return 0.0
    return float(np.mean((moves[1:] * moves[:-1]).sum(axis=1) < 0.0))


def _path_over_distance(found: Race) -> float:
    distance = found.distance(0)
    return found.path_length(0) / distance if distance > 0.0 else math.nan


_FIGURES: Mapping[str, Callable[[Race], float]] = {
    "value": lambda found: float(found.values[-1, 0]),
    "distance": lambda found: found.distance(0),
    "path_over_distance": _path_over_distance,
    "largest_step": lambda found: found.largest_step(0)[1],
    "last_step": lambda found: _length(found, -1),
    "reversals": _reversals,
}
