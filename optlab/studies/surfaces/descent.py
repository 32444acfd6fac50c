"""Descents on a surface.

Any number of methods from any starts, as one population that takes the same steps as in the
training of a network.

A method is an optimizer of the catalogue with a schedule and a clipping rule. :func:`race` runs all
methods side by side and records everything that the rules compute, so that each step can be
inspected with its numbers. Computation is in double precision.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from optlab.catalogue.averaging.base import Averaging
from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.delays.base import Delay
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Optimizer, State
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.stopping.base import Stopping
from optlab.catalogue.surfaces.base import Point, Surface
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch
from optlab.experiment.schedules import FieldSchedule
from optlab.experiment.sections import General
from optlab.objective.seeding import generator
from optlab.objective.surface_objective import (
    Array,
    axes,
    heights,
    lattice,
    surface_objective,
    tensor,
    untilted,
)
from optlab.training.population import Population
from optlab.training.stepping import ProposedStep

DIVERGENCE_RADIUS = 1000.0
"""Distance from the middle of the picture, in widths of it, beyond which a run has diverged."""
MIN_MOVEMENT = 1e-60
"""Slope and step below which a run has arrived; the squares of smaller numbers underflow."""
Ending = Literal["finished", "arrived", "escaped", "diverged"]
"""How a run ended: "escaped" is a descent without end on a function that is unbounded below."""
_GRID = 21
"""Points along each axis of the picture at which the range of the function is sampled."""


@functools.cache
def _inactive(kind: str) -> Any:
    """Return the component of a kind that has no effect."""
    return registry.build(
        kind, {"name": {"schedule": "constant", "stopping": "never"}.get(kind, "none")}
    )


@dataclass(frozen=True)
class Contender:
    """One run of a race: a method and its start. Components that are left out are inactive.

    Attributes:
        label: text in a legend. seed: of its gradient noise; contenders with the same seed get the
            same noise.
    """

    optimizer: Optimizer
    start: Point
    schedule: Schedule = dataclasses.field(default_factory=functools.partial(_inactive, "schedule"))
    clipping: Clipping = dataclasses.field(default_factory=functools.partial(_inactive, "clipping"))
    label: str = ""
    seed: int = 0
    averaging: Averaging = dataclasses.field(
        default_factory=functools.partial(_inactive, "averaging")
    )
    delay: Delay = dataclasses.field(default_factory=functools.partial(_inactive, "delay"))
    stopping: Stopping = dataclasses.field(default_factory=functools.partial(_inactive, "stopping"))
    schedules: tuple[FieldSchedule, ...] = ()

    @functools.cached_property
    def general(self) -> General:
        """The general section with its seed, which groups read."""
        return General(seed=self.seed)


@dataclass(frozen=True)
class Race:
    """A race of R runs over K steps.

    A run that ended early keeps its last position in the arrays; ``lengths`` has its number of
    steps.

    Attributes:
        positions: ``[K + 1, R, d]``, the starts first. values, gradients: of the surface there,
            ``[K + 1, R]`` and ``[K + 1, R, d]``, without noise.
        points: where each step evaluated its gradient, ``[K, R, d]``. used: the gradient there with
            its noise. clipped: the same after clipping.
        rates: learning rates ``[K, R]``.
        states: for each run, name → a state of the optimizer after each number of steps, ``[K + 1,
            …]``; ``states[r]["v"]`` is a velocity.
        lengths: ``[R]``. endings: how each run ended, "arrived" where slope and step became zero to
            rounding. reasons: why it escaped or diverged, else "".
        notes: for each run, step → why that step deviates from the method.
    """

    surface: Surface
    contenders: tuple[Contender, ...]
    positions: Array
    values: Array
    gradients: Array
    points: Array
    used: Array
    clipped: Array
    rates: Array
    states: tuple[dict[str, Array], ...]
    lengths: NDArray[np.int64]
    endings: tuple[Ending, ...]
    reasons: tuple[str, ...]
    notes: tuple[dict[int, str], ...]

    def path(self, run: int) -> Array:
        """Return the positions of one run up to its own end, ``[n + 1, d]``."""
        return self.positions[: self.lengths[run] + 1, run]

    def path_length(self, run: int) -> float:
        """Return the length of the path of a run; compare with :meth:`distance`."""
        return float(np.linalg.norm(np.diff(self.path(run), axis=0), axis=1).sum())

    def largest_step(self, run: int) -> tuple[int, float]:
        """Return the number, from 1, and the length of the largest step of a run; 0, 0 for none."""
        lengths = np.linalg.norm(np.diff(self.path(run), axis=0), axis=1)
        if not len(lengths):
            return 0, 0.0
        index = int(lengths.argmax())
        return index + 1, float(lengths[index])

    def distance(self, run: int) -> float:
        """Return the distance from the start of a run to its end."""
        return float(np.linalg.norm(self.path(run)[-1] - self.path(run)[0]))

    def terms(self, run: int, step: int) -> dict[str, Array]:
        """Return the inputs and results of the step ``step`` (0, 1, …) of a run.

        Symbol → number ``[]`` or vector ``[d]``.

        ``θ``, ``f`` and ``∇f`` before it; ``θ̃`` if the rule looks ahead; the gradient ``g`` used,
        and ``clip g`` if it was clipped; the rate ``ε``; the state of the rule after it, by
        the names of its formula (``v``, ``r``, …); the step ``Δθ``.

        Raises:
            IndexError: the run took no such step.
        """
        if not 0 <= step < self.lengths[run]:
            raise IndexError(f"run {run} took {self.lengths[run]} steps")
        before, after = self.positions[step, run], self.positions[step + 1, run]
        terms = {"θ": before, "f": self.values[step, run], "∇f": self.gradients[step, run]}
        if not np.array_equal(self.points[step, run], before):
            terms["θ̃"] = self.points[step, run]
        terms["g"] = self.used[step, run]
        if not np.array_equal(self.clipped[step, run], self.used[step, run]):
            terms["clip g"] = self.clipped[step, run]
        terms["ε"] = self.rates[step, run]
        terms |= {name: values[step + 1] for name, values in self.states[run].items()}
        return {name: np.asarray(value) for name, value in {**terms, "Δθ": after - before}.items()}


class Walk:
    """The runs of a race, step by step.

    Args:
        noise: standard deviation σ of the noise on each component of the gradient.

    Attributes:
        population: the runs, with their positions and states.
        values, gradients: at the positions, ``[R]`` and ``[R, d]``.
        walking: which runs have not ended, ``[R]``; arrived: which ended where it is level.
            lengths: steps that each took. reasons: run → why it escaped or diverged. escaped: runs
            that descended far below the lowest value in the picture.

    Raises:
        InvalidInput: a contender cannot run on a surface, or starts where it has no finite value.
    """

    def __init__(
        self, surface: Surface, contenders: Sequence[Contender], noise: float = 0.0
    ) -> None:
        check(surface, contenders)
        self.surface = surface
        self.contenders = tuple(contenders)
        self._objective = surface_objective(surface)
        starts = tensor([contender.start for contender in contenders])
        self.population = Population(self._objective, self.contenders, starts)
        self._noise = noise
        self._tilts = {
            contender.seed: generator(contender.seed, "surface/noise") for contender in contenders
        }
        domain = surface.domain()
        self._middle = tensor([0.5 * (low + high) for low, high in domain])
        self._farthest = DIVERGENCE_RADIUS * max(high - low for low, high in domain)
        self.values, self.gradients = self._objective.value_and_gradient(
            self.theta, *untilted(self.theta)
        )
        self.walking = torch.ones(len(contenders), dtype=torch.bool)
        self.arrived = torch.zeros(len(contenders), dtype=torch.bool)
        self.lengths = [0] * len(contenders)
        self.reasons: dict[int, str] = {}
        self.escaped: set[int] = set()

    @property
    def theta(self) -> torch.Tensor:
        """The positions ``[R, d]``."""
        return self.population.theta

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self.population.step

    def advance(self) -> ProposedStep:
        """Take one step of every run that has not ended; return what was computed for all runs."""
        x, y = untilted(self.theta)
        taken = self.population.propose(self._tilt() if self._noise else x, y)
        values, gradients = self._objective.value_and_gradient(taken.after, x, y)
        sound = (
            torch.isfinite(taken.after).all(dim=1)
            & torch.isfinite(values)
            & torch.isfinite(gradients).all(dim=1)
        )
        near = (taken.after - self._middle).abs().amax(dim=1) <= self._farthest
        good = self.walking & sound & near
        for run in torch.nonzero(self.walking & ~good).flatten().tolist():
            if float(values[run]) < self._depth:
                self.escaped.add(run)
            self.reasons[run] = self._reason(run, taken.after[run], bool(sound[run]))
        moved = (taken.after - self.theta).abs().amax(dim=1)
        level = (gradients.abs().amax(dim=1) <= MIN_MOVEMENT) & (moved <= MIN_MOVEMENT)
        self.arrived |= good & level & (self._noise == 0.0)
        self.walking = good & ~self.arrived
        self.lengths = [
            length + int(alive) for length, alive in zip(self.lengths, good.tolist(), strict=True)
        ]
        self.values = torch.where(good, values, self.values)
        self.gradients = torch.where(good.unsqueeze(1), gradients, self.gradients)
        self.population.accept(taken, None if bool(good.all()) else good)
        return taken

    def _tilt(self) -> torch.Tensor:
        """Return the noise of this step, ``[R, 1, d]``."""
        drawn = {
            seed: torch.randn(1, self.theta.shape[1], generator=source, dtype=torch.float64)
            for seed, source in self._tilts.items()
        }
        return self._noise * torch.stack([drawn[contender.seed] for contender in self.contenders])

    @functools.cached_property
    def _depth(self) -> float:
        """The value as far below the lowest in the picture as that is below the highest."""
        values = heights(self.surface, lattice(axes(self.surface.domain(), _GRID)))
        finite = values[np.isfinite(values)]
        return float(2.0 * finite.min() - finite.max()) if len(finite) else -np.inf

    def _reason(self, run: int, after: torch.Tensor, sound: bool) -> str:
        number = self.step + 1
        if sound:
            reason = (
                f"step {number} led to {place(after.tolist())}, more than {DIVERGENCE_RADIUS:g} "
                "widths of the picture away"
            )
        elif bool(torch.isfinite(after).all()):
            reason = (
                f"step {number} led to {place(after.tolist())}, where the function or its slope is "
                "not finite"
            )
        else:
            reason = (
                f"step {number} from {place(self.theta[run].tolist())} led to coordinates that are "
                "not finite"
            )
        if run in self.escaped:
            reason += (
                ", and the value is far below all in the picture: the function appears unbounded "
                "below"
            )
        return reason


def check(surface: Surface, contenders: Sequence[Contender]) -> None:
    """Check that the contenders can run on a surface.

    Raises:
        InvalidInput: one of them cannot; the message says which and why.
    """
    if not contenders:
        raise InvalidInput("A race needs at least one method.", "optimizer")
    for contender in contenders:
        optimizer = contender.optimizer
        if len(contender.start) != surface.dimension:
            wanted = "one number" if surface.dimension == 1 else f"{surface.dimension} numbers"
            raise InvalidInput(
                (
                    f"The start is {place(contender.start)}, but a point on {surface.name} has "
                    f"{wanted}."
                ),
                "start",
            )
        if isinstance(optimizer, ObjectiveOptimizer):
            if optimizer.needs_predictions:
                raise InvalidInput(
                    f"optimizer.name is {optimizer.name!r}, which needs a model with a predicted "
                    "distribution; "
                    "choose another optimizer for a surface.",
                    "optimizer.name",
                )
            if contender.clipping.active:
                raise InvalidInput(
                    f"clipping.name is {contender.clipping.name!r}, but {optimizer.label} evaluates"
                    " the objective directly and cannot be combined with clipping; "
                    'set clipping.name = "none".',
                    "clipping.name",
                )
        reason = optimizer.refusal(surface.dimension)
        if reason:
            raise InvalidInput(reason, "optimizer.name")
    for contender, height in zip(
        contenders, heights(surface, [contender.start for contender in contenders]), strict=True
    ):
        if not np.isfinite(height):
            raise InvalidInput(
                (
                    f"The start is {place(contender.start)}, but {surface.name} has no finite "
                    "value "
                    "there; choose another start."
                ),
                "start",
            )


def race(
    surface: Surface,
    contenders: Sequence[Contender],
    steps: int,
    noise: float = 0.0,
    going: Callable[[int], bool] = lambda step: True,
) -> Race:
    """Run every contender for ``steps`` steps.

    Args:
        noise: standard deviation σ of the noise on each component of the gradient.
        going: called with the number of steps taken before each step; False ends the race.

    Raises:
        InvalidInput: see :func:`check`.
    """
    walk = Walk(surface, contenders, noise)
    runs = range(len(contenders))
    positions, values, gradients = [walk.theta], [walk.values], [walk.gradients]
    points: list[Any] = []
    used: list[Any] = []
    clipped: list[Any] = []
    rates: list[list[float]] = []
    states = [[group.state] for group in walk.population.groups]
    notes: tuple[dict[int, str], ...] = tuple({} for _ in runs)
    while walk.step < steps and bool(walk.walking.any()) and going(walk.step):
        taken = walk.advance()
        positions.append(walk.theta)
        values.append(walk.values)
        gradients.append(walk.gradients)
        points.append(taken.point)
        used.append(taken.gradient)
        clipped.append(_clipped(walk, taken))
        rates.append(taken.rates)
        for kept, group in zip(states, walk.population.groups, strict=True):
            kept.append(group.state)
        for run, note in taken.notes.items():
            if walk.walking[run]:
                notes[run][walk.step - 1] = note
    shape = (0, len(contenders), surface.dimension)
    return Race(
        surface=surface,
        contenders=walk.contenders,
        positions=_stacked(positions, shape),
        values=_stacked(values, shape[:2]),
        gradients=_stacked(gradients, shape),
        points=_stacked(points, shape),
        used=_stacked(used, shape),
        clipped=_stacked(clipped, shape),
        rates=np.array(rates, dtype=np.float64).reshape(-1, len(contenders)),
        states=_by_run(walk, states),
        lengths=np.array(walk.lengths, dtype=np.int64),
        endings=tuple(
            "escaped"
            if run in walk.escaped
            else "diverged"
            if run in walk.reasons
            else "arrived"
            if walk.arrived[run]
            else "finished"
            for run in runs
        ),
        reasons=tuple(walk.reasons.get(run, "") for run in runs),
        notes=notes,
    )


def place(point: Sequence[float]) -> str:
    """Return a point as text: ``(1.5, -2)``."""
    return f"({', '.join(f'{number:.4g}' for number in point)})"


def _clipped(walk: Walk, taken: ProposedStep) -> torch.Tensor:
    """Return the gradients after clipping, ``[R, d]``."""
    clipped = torch.empty_like(taken.gradient)
    for group, g in zip(walk.population.groups, taken.used, strict=True):
        clipped[group.rows] = g
    return clipped


def _stacked(tensors: Sequence[Any], shape: tuple[int, ...]) -> Array:
    return torch.stack(list(tensors)).numpy() if tensors else np.empty(shape)


def _by_run(walk: Walk, states: Sequence[Sequence[State]]) -> tuple[dict[str, Array], ...]:
    """Return for each run name → values of its state, ``[K + 1, …]``, if their shape is fixed."""
    by_run: list[dict[str, Array]] = [{} for _ in walk.contenders]
    for group, history in zip(walk.population.groups, states, strict=True):
        for name in history[-1]:
            if all(
                name in state and state[name].shape == history[-1][name].shape for state in history
            ):
                values = np.stack([state[name].numpy() for state in history]).astype(np.float64)
                for row, run in enumerate(group.rows):
                    by_run[run][name] = values[:, row]
    return tuple(by_run)
