"""Descents on a surface: any number of methods from any starts, as one population that takes the
same steps as a network's.

A method is an optimizer of the catalogue with a schedule and a clipping rule; :func:`race` lets all
of them go at once and keeps everything that a rule computed on the way, so that each step can be
looked at with its numbers. Computation is in double precision.
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
from optlab.experiment.sections import General
from optlab.objective.seeding import generator
from optlab.objective.surface_objective import Array, heights, surface_objective, tensor, untilted
from optlab.training.population import groups
from optlab.training.stepping import Stepper, Taken

DIVERGENCE_RADIUS = 1000.0
"""Widths of the picture from its middle beyond which a run counts as diverged."""
STILL = 1e-60
"""Slope and step below which a run counts as arrived: what follows would be arithmetic on numbers
whose squares are no longer numbers.
"""
Ending = Literal["finished", "arrived", "diverged"]


@functools.cache
def _inactive(kind: str) -> Any:
    """The component of a kind that does nothing."""
    return registry.build(
        kind, {"name": {"schedule": "constant", "stopping": "never"}.get(kind, "none")}
    )


@dataclass(frozen=True)
class Contender:
    """One run of a race: a method and its start. What it leaves out is inactive.

    Attributes:
        label: words in a legend. seed: of its gradient noise; contenders with the same seed see the
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

    @functools.cached_property
    def general(self) -> General:
        """Its seed, in the form in which groups ask for it."""
        return General(seed=self.seed)


@dataclass(frozen=True)
class Race:
    """What happened in a race of R runs over K steps. A run that ended early stays where it was in
    the arrays; ``lengths`` says how many steps it took.

    Attributes:
        positions: ``[K + 1, R, d]``, the starts first. values, gradients: of the surface there,
            ``[K + 1, R]`` and ``[K + 1, R, d]``, without noise.
        points: where each step took its gradient, ``[K, R, d]``. used: the gradient there with its
            noise. clipped: the same after clipping.
        rates: learning rates ``[K, R]``.
        states: for each run, name → what the rule remembers after each number of steps, ``[K + 1,
            …]``; ``states[r]["v"]`` is a velocity.
        lengths: ``[R]``. endings: how each run ended, "arrived" where slope and step became zero to
            rounding; reasons: in words where it diverged, else "".
        notes: for each run, step → why that step is not what the method promises.
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
        """The positions ``[n + 1, d]`` of one run up to its own end."""
        return self.positions[: self.lengths[run] + 1, run]

    def path_length(self, run: int) -> float:
        """Length of the path of a run, to be held against :meth:`distance`."""
        return float(np.linalg.norm(np.diff(self.path(run), axis=0), axis=1).sum())

    def distance(self, run: int) -> float:
        """Distance from the start of a run to its end."""
        return float(np.linalg.norm(self.path(run)[-1] - self.path(run)[0]))

    def terms(self, run: int, step: int) -> dict[str, Array]:
        """What went into the step ``step`` (0, 1, …) of a run and came out of it: symbol → number
        or vector.

        ``θ``, ``f`` and ``∇f`` before it; ``θ̃`` where the rule looked ahead; the gradient ``g``
        that was taken, and ``clip g`` where it was shortened; the rate ``ε``; what the rule
        remembers after it, by the names of its formula (``v``, ``r``, …); the step ``Δθ``.

        Raises:
            IndexError: the run took no such step.
        """
        if not 0 <= step < self.lengths[run]:
            raise IndexError(f"run {run} took {self.lengths[run]} steps")
        before, after = self.positions[step, run], self.positions[step + 1, run]
        found = {"θ": before, "f": self.values[step, run], "∇f": self.gradients[step, run]}
        if not np.array_equal(self.points[step, run], before):
            found["θ̃"] = self.points[step, run]
        found["g"] = self.used[step, run]
        if not np.array_equal(self.clipped[step, run], self.used[step, run]):
            found["clip g"] = self.clipped[step, run]
        found["ε"] = self.rates[step, run]
        found |= {name: values[step + 1] for name, values in self.states[run].items()}
        return {name: np.asarray(value) for name, value in {**found, "Δθ": after - before}.items()}


class Walk:
    """The runs of a race, step by step.

    Args:
        noise: standard deviation σ of the noise on each component of the gradient.

    Attributes:
        theta: ``[R, d]``. values, gradients: there, ``[R]`` and ``[R, d]``. step: number of steps
            taken. groups: runs that share a rule, with their states.
        walking: which runs have not ended, ``[R]``; arrived: which ended where it is level.
            lengths: steps that each took. reasons: run → why it diverged.

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
        self.theta = tensor([contender.start for contender in contenders])
        self.groups = groups(contenders, self.theta, self._objective.layout)
        seeds = [contender.seed for contender in contenders]
        self._stepper = Stepper(self._objective, self.groups, _inactive("continuation"), seeds)
        self._noise = noise
        self._tilts = {seed: generator(seed, "surface/noise") for seed in seeds}
        domain = surface.domain()
        self._middle = tensor([0.5 * (low + high) for low, high in domain])
        self._farthest = DIVERGENCE_RADIUS * max(high - low for low, high in domain)
        self.step = 0
        self.values, self.gradients = self._objective.value_and_gradient(
            self.theta, *untilted(self.theta)
        )
        self.walking = torch.ones(len(contenders), dtype=torch.bool)
        self.arrived = torch.zeros(len(contenders), dtype=torch.bool)
        self.lengths = [0] * len(contenders)
        self.reasons: dict[int, str] = {}

    def advance(self) -> Taken:
        """One step of every run that has not ended; what was computed, of those that have, too."""
        x, y = untilted(self.theta)
        taken = self._stepper.take(self.theta, self.step, self._tilt() if self._noise else x, y)
        values, gradients = self._objective.value_and_gradient(taken.after, x, y)
        sound = (
            torch.isfinite(taken.after).all(dim=1)
            & torch.isfinite(values)
            & torch.isfinite(gradients).all(dim=1)
        )
        near = (taken.after - self._middle).abs().amax(dim=1) <= self._farthest
        good = self.walking & sound & near
        for run in torch.nonzero(self.walking & ~good).flatten().tolist():
            self.reasons[run] = self._reason(run, taken.after[run], bool(sound[run]))
        moved = (taken.after - self.theta).abs().amax(dim=1)
        level = (gradients.abs().amax(dim=1) <= STILL) & (moved <= STILL)
        self.arrived |= good & level & (self._noise == 0.0)
        self.walking = good & ~self.arrived
        self.lengths = [
            length + int(alive) for length, alive in zip(self.lengths, good.tolist(), strict=True)
        ]
        self.theta = torch.where(good.unsqueeze(1), taken.after, self.theta)
        self.values = torch.where(good, values, self.values)
        self.gradients = torch.where(good.unsqueeze(1), gradients, self.gradients)
        for group, state in zip(self.groups, taken.states, strict=True):
            group.state = _kept(group.select(good), state, group.state)
        self.step += 1
        return taken

    def _tilt(self) -> torch.Tensor:
        """The noise of this step, ``[R, 1, d]``."""
        drawn = {
            seed: torch.randn(1, self.theta.shape[1], generator=source, dtype=torch.float64)
            for seed, source in self._tilts.items()
        }
        return self._noise * torch.stack([drawn[contender.seed] for contender in self.contenders])

    def _reason(self, run: int, after: torch.Tensor, sound: bool) -> str:
        number = self.step + 1
        if sound:
            return f"step {number} led to {place(after.tolist())}, more than {DIVERGENCE_RADIUS:g} widths of the picture away"
        if bool(torch.isfinite(after).all()):
            return f"step {number} led to {place(after.tolist())}, where the function or its slope is not finite"
        return f"step {number} from {place(self.theta[run].tolist())} led to coordinates that are not finite"


def check(surface: Surface, contenders: Sequence[Contender]) -> None:
    """Whether the contenders can run on a surface.

    Raises:
        InvalidInput: one of them cannot; the message says which and why.
    """
    if not contenders:
        raise InvalidInput("A race needs one method at least.", "optimizer")
    for contender in contenders:
        optimizer = contender.optimizer
        if len(contender.start) != surface.dimension:
            wanted = "one number" if surface.dimension == 1 else f"{surface.dimension} numbers"
            raise InvalidInput(
                f"The start is {place(contender.start)}, but a point on {surface.name} has {wanted}.",
                "start",
            )
        if isinstance(optimizer, ObjectiveOptimizer):
            if optimizer.needs_predictions:
                raise InvalidInput(
                    f"optimizer.name is {optimizer.name!r}, which needs the distribution that a model predicts, and a surface predicts nothing; use another.",
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
                f"The start is {place(contender.start)}, but {surface.name} has no finite value there; start somewhere else.",
                "start",
            )


def race(
    surface: Surface,
    contenders: Sequence[Contender],
    steps: int,
    noise: float = 0.0,
    going: Callable[[int], bool] = lambda step: True,
) -> Race:
    """Let every contender take ``steps`` steps.

    Args:
        noise: standard deviation σ of the noise on each component of the gradient.
        going: asked with the number of steps taken before each; False ends the race there.

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
    states = [[group.state] for group in walk.groups]
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
        for kept, group in zip(states, walk.groups, strict=True):
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
            "diverged" if run in walk.reasons else "arrived" if walk.arrived[run] else "finished"
            for run in runs
        ),
        reasons=tuple(walk.reasons.get(run, "") for run in runs),
        notes=notes,
    )


def place(point: Sequence[float]) -> str:
    """A point in words: ``(1.5, -2)``."""
    return f"({', '.join(f'{number:.4g}' for number in point)})"


def _clipped(walk: Walk, taken: Taken) -> torch.Tensor:
    """The gradients after clipping, ``[R, d]``."""
    found = taken.gradient.clone()
    for group in walk.groups:
        if group.clipping.active:
            rows = torch.tensor(group.rows)
            found[rows] = group.clipping.clip(taken.gradient[rows], taken.norm[rows], group.clip_h)
    return found


def _kept(good: torch.Tensor, after: State, before: State) -> State:
    """The new state of runs that go on, and the old one of those that ended."""
    if bool(good.all()):
        return after
    return {
        name: torch.where(good.view(-1, *[1] * (value.ndim - 1)), value, before[name])
        for name, value in after.items()
    }


def _stacked(tensors: Sequence[Any], shape: tuple[int, ...]) -> Array:
    return torch.stack(list(tensors)).numpy() if tensors else np.empty(shape)


def _by_run(walk: Walk, states: Sequence[Sequence[State]]) -> tuple[dict[str, Array], ...]:
    """For each run, name → the values of its state, ``[K + 1, …]``; only what is numbers
    throughout.
    """
    found: list[dict[str, Array]] = [{} for _ in walk.contenders]
    for group, history in zip(walk.groups, states, strict=True):
        for name in history[-1]:
            if all(
                name in state and state[name].shape == history[-1][name].shape for state in history
            ):
                whole = np.stack([state[name].numpy() for state in history]).astype(np.float64)
                for row, run in enumerate(group.rows):
                    found[run][name] = whole[:, row]
    return tuple(found)
