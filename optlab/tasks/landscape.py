"""What the window asks about the landscape around a stored run's weights: slices, the spectrum of
the Hessian, the critical point nearby.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.core.lazy import torch
from optlab.curvature import critical_points
from optlab.curvature.extremes import extremes
from optlab.curvature.spectrum import convexity, density_of, full_spectrum_of, trace_of
from optlab.experiment import Experiment
from optlab.objective.seeding import generator
from optlab.store import Store
from optlab.tasks.slicing import Along, LineSlice, PlaneSlice, cut_line, cut_plane
from optlab.tasks.subject import Subject, stored, trained
from optlab.tasks.task import Task
from optlab.training.control import Controls
from optlab.training.trainer import Trainer

Floats = NDArray[np.float64]
FEW = 12
"""Snapshots below which a stored run is trained again for its path: a plane through five points
says little.
"""
MOST_AGAIN = 60.0
"""Seconds that a run may have taken to be trained again for its path."""
EXAMPLES = 256
"""Training examples that a slice is drawn from: enough for a picture, at a fraction of the time."""
PATH_POINTS = 11
"""Points of a path at which the Hessian is looked at."""
START_OFFSET = 0.03
"""How far from a critical point methods start that are to show what they do there."""
ONWARDS = 40
"""Steps that they take."""
SMALL = 1500
"""Parameters up to which the whole spectrum is computed."""


@dataclass(frozen=True)
class SliceTask(Task):
    """The objective on a plane through a run's weights; answered by a
    :class:`~optlab.tasks.slicing.PlaneSlice`.

    Attributes:
        run: id. along: which plane. other: id of the run at the other end, for ``runs``. points: in
            each direction. reach: 0 for the usual one.
        examples: training examples that are used at most; 0 for all.
    """

    run_id: str
    along: Along
    other: str = ""
    points: int = 41
    reach: float = 0.0
    seed: int = 0
    examples: int = EXAMPLES

    def run(self, controls: Controls) -> Iterator[PlaneSlice]:
        here = with_path(self.run_id, self.examples)
        other = stored(self.other, self.examples) if self.other else None
        # A coarse one at once, to be looked at while the fine one is computed.
        for points in (11, self.points):
            yield cut_plane(
                here, self.along, other, points=points, reach=self.reach, seed=self.seed
            )


@dataclass(frozen=True)
class LineTask(Task):
    """The objective on a line, with error bars over batches; answered by a
    :class:`~optlab.tasks.slicing.LineSlice`. Attributes as above.
    """

    run_id: str
    other: str = ""
    points: int = 61
    reach: float = 0.0
    seed: int = 0
    examples: int = EXAMPLES

    def run(self, controls: Controls) -> Iterator[LineSlice]:
        other = stored(self.other, self.examples) if self.other else None
        yield cut_line(
            stored(self.run_id, self.examples),
            other,
            points=self.points,
            reach=self.reach,
            seed=self.seed,
        )


@dataclass(frozen=True)
class SpectrumResult:
    """The Hessian's spectrum at a run's weights.

    Attributes:
        title: of the experiment. step: of the weights. parameters: P.
        top: the largest eigenvalues, falling. bottom: the smallest, rising. residual: relative.
            products: Hessian products that they took.
        trace, trace_error: estimated, and its standard error. grid, density: the spectral density
            ``[G]``; empty until it has come.
        negative: number of negative eigenvalues where the whole spectrum was computed, else None.
            rate: learning rate, 2/λ₁ of which is the edge.
        path_steps, path_lowest, path_convex: steps of some points of the path, the smallest
            eigenvalue at each, and whether the objective is convex there (no eigenvalue is
            negative), where the model is small; empty else.
    """

    title: str
    step: int
    parameters: int
    top: Floats
    bottom: Floats
    residual: float
    products: int
    trace: float
    trace_error: float
    grid: Floats
    density: Floats
    negative: int | None
    rate: float | None
    path_steps: tuple[int, ...] = ()
    path_lowest: Floats = field(default_factory=lambda: np.zeros(0))
    path_convex: tuple[bool, ...] = ()


@dataclass(frozen=True)
class SpectrumTask(Task):
    """Eigenvalues at both ends, trace, density; answered by :class:`SpectrumResult`, without and
    then with the density.
    """

    run_id: str
    top: int = 8
    bottom: int = 4
    examples: int = 0

    def run(self, controls: Controls) -> Iterator[SpectrumResult]:
        looked_at = stored(self.run_id, self.examples)
        here = looked_at.landscape.hessian(looked_at.theta)
        parameters = looked_at.theta.shape[1]
        ends = extremes(
            here.product,
            looked_at.theta,
            top=min(self.top, parameters),
            bottom=min(self.bottom, max(0, parameters - self.top)),
        )
        estimate = trace_of(here)
        rate = getattr(experiment_of(self.run_id).optimizer, "lr", None)
        nothing = np.zeros(0)
        first = SpectrumResult(
            looked_at.title,
            looked_at.step,
            parameters,
            ends.top[0].numpy(),
            ends.bottom[0].numpy(),
            float(ends.residuals[0]),
            int(ends.products[0]),
            float(estimate.mean[0]),
            float(estimate.standard_error[0]),
            nothing,
            nothing,
            int(full_spectrum_of(here).negative[0]) if parameters <= SMALL else None,
            rate,
        )
        yield first
        smooth = density_of(here)
        second = replace(first, grid=smooth.grid[0].numpy(), density=smooth.density[0].numpy())
        yield second
        if parameters <= SMALL:
            whole = with_path(self.run_id, self.examples)
            places = np.unique(np.linspace(0, len(whole.path) - 1, PATH_POINTS).round().astype(int))
            lowest, convex = convexity(whole.landscape, whole.path[places.tolist()])
            steps = tuple(whole.at_steps[place] for place in places)
            yield replace(
                second,
                path_steps=steps,
                path_lowest=lowest.numpy(),
                path_convex=tuple(convex.tolist()),
            )


@dataclass(frozen=True)
class CriticalPointAnswer:
    """Where the finder went, and what it found there.

    Attributes:
        here, there: the verdicts on the run's weights and on the point that was found, in words.
            converged, problem: of the finder.
        distance: between the two. norms: gradient norm at each of its steps. losses: objective here
            and there.
        eigenvalues: at the point found, rising (both ends where P is large). index: number of
            negative ones.
        onwards: what methods do that start beside the point found: label, objective, distance from
            it in the end; empty where the model is large or the point is one of some examples only,
            and until it has come.
    """

    here: str
    there: str
    converged: bool
    problem: str
    distance: float
    norms: Floats
    losses: tuple[float, float]
    eigenvalues: Floats
    index: int
    onwards: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class CriticalPointTask(Task):
    """The critical point near a run's weights; answered by a :class:`CriticalPointAnswer`."""

    run_id: str
    steps: int = 120
    examples: int = 0

    def run(self, controls: Controls) -> Iterator[CriticalPointAnswer]:
        looked_at = stored(self.run_id, self.examples)
        landscape = looked_at.landscape
        before = critical_points.name(landscape, looked_at.theta)
        found = critical_points.find(landscape, looked_at.theta, steps=self.steps)
        after = critical_points.name(landscape, found.theta)
        answer = CriticalPointAnswer(
            before.sentence,
            after.sentence,
            found.converged,
            found.problem,
            found.distance,
            found.norms.numpy(),
            (before.value, after.value),
            after.eigenvalues.numpy(),
            after.index,
        )
        yield answer
        experiment = experiment_of(self.run_id)
        # The methods go on all examples, of which a point that was found on some is no critical
        # point.
        if looked_at.theta.shape[1] <= SMALL and len(looked_at.x) == len(
            experiment.dataset.load().training
        ):
            yield replace(answer, onwards=onwards(experiment, found.theta))


def onwards(experiment: Experiment, point: torch.Tensor) -> tuple[tuple[str, float, float], ...]:
    """What gradient descent, Newton's method and saddle-free Newton do that start ``START_OFFSET``
    a point ``[1, P]``, in a population on all examples.

    Returns:
        label, objective and distance from the point after ``ONWARDS`` steps.
    """
    # What the run was tuned with would hide what the methods do: bare ones, each at its usual rate.
    plain = {**experiment.to_dict(), "precision": "float64", "device": "cpu"}
    for section in (
        "schedule",
        "clipping",
        "averaging",
        "delay",
        "continuation",
        "stopping",
        "pretraining",
        "instruments",
    ):
        plain.pop(section, None)
    rate = getattr(experiment.optimizer, "lr", 0.1)
    methods: tuple[dict[str, Any], ...] = (
        {"name": "sgd", "lr": rate},
        {"name": "newton", "damping": 1e-6},
        {"name": "saddle_free_newton", "damping": 0.01},
    )
    population = [
        Experiment.from_dict(
            {**plain, "optimizer": method, "batches": {"name": "never_shuffled", "size": 0}}
        )
        for method in methods
    ]
    trainer = Trainer(population)
    aside = torch.randn(point.shape, generator=generator(0, "onwards"), dtype=torch.float64)
    start = point.double() + START_OFFSET * aside / torch.linalg.vector_norm(aside)
    trainer.theta = start.expand(len(methods), -1).clone()
    for _ in range(ONWARDS):
        trainer.advance()
    losses = trainer.objective.penalized(trainer.evaluate()["train_loss"], trainer.theta).tolist()
    away = torch.linalg.vector_norm(trainer.theta - point.double(), dim=1).tolist()
    labels = [run_id.optimizer.label for run_id in population]
    return tuple(
        (label, loss, distance) for label, loss, distance in zip(labels, losses, away, strict=True)
    )


def experiment_of(run_id: str) -> Experiment:
    """What a stored run was asked to do."""
    with Store.open_readonly() as store:
        return Experiment.from_toml(store.run(run_id).experiment)


def with_path(run_id: str, examples: int) -> Subject:
    """A stored run with its path: that of its snapshots, or where they are few that of the same run
    trained again.
    """
    subject = stored(run_id, examples)
    if len(subject.path) >= FEW:
        return subject
    with Store.open_readonly() as store:
        record = store.run(run_id)
    if record.seconds > MOST_AGAIN or record.device != "cpu" or not record.steps:
        return subject
    again = trained(Experiment.from_toml(record.experiment), record.steps, examples)
    # A value that was changed while it ran leads elsewhere: then the snapshots are all there is.
    return (
        again
        if np.allclose(again.theta.numpy(), subject.theta.numpy(), rtol=1e-5, atol=1e-7)
        else subject
    )
