"""Tasks for the landscape around a stored run's weights.

Slices, the spectrum of the Hessian, and the nearest critical point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optlab.core.lazy import torch
from optlab.core.limits import MAX_WHOLE_SPECTRUM
from optlab.curvature import critical_points
from optlab.curvature.extremes import extremes
from optlab.curvature.spectrum import convexity, density_of, full_spectrum_of, trace_of
from optlab.experiment import Experiment
from optlab.objective.seeding import generator
from optlab.store import Store
from optlab.studies.stability import edge_factor
from optlab.tasks.slicing import Along, LineSlice, PlaneSlice, cut_line, cut_plane
from optlab.tasks.subject import Subject, stored, trained
from optlab.tasks.task import OnStoredRun
from optlab.training.control import Controls
from optlab.training.trainer import Trainer

Floats = NDArray[np.float64]
MIN_SNAPSHOTS = 12
"""Below this number of snapshots a run is trained again for its path: a plane through five points
shows little.
"""
MAX_RETRAIN_SECONDS = 60.0
"""Longest training time of a run that is trained again for its path."""
EXAMPLES = 256
"""Training examples behind a slice: enough for a picture, at a fraction of the time."""
PATH_POINTS = 11
"""Points of a path at which the Hessian is computed."""
START_OFFSET = 0.03
"""Distance from a critical point at which methods start, to show how they behave near it."""
ESCAPE_STEPS = 40
"""Their number of steps."""


@dataclass(frozen=True)
class SliceTask(OnStoredRun):
    """Evaluate the objective on a plane through a run's weights.

    The results are :class:`~optlab.tasks.slicing.PlaneSlice`, first a coarse one.

    Attributes:
        run_id: id of the run.
        along: which plane.
        other: id of the second run, for ``runs``.
        points: in each direction.
        reach: how far to go to either side; 0 for the default.
        seed: of random directions.
        examples: maximum number of training examples; 0 for all.
    """

    run_id: str
    along: Along
    other: str = ""
    points: int = 41
    reach: float = 0.0
    seed: int = 0
    examples: int = EXAMPLES

    def run(self, controls: Controls) -> Iterator[PlaneSlice]:
        """See :class:`~optlab.tasks.task.Task`."""
        subject = with_path(self.run_id, self.examples, changed_data=self.changed_data)
        other = (
            stored(self.other, self.examples, changed_data=self.changed_data)
            if self.other
            else None
        )
        # First a coarse one, to be shown while the fine one is computed.
        for points in (11, self.points):
            yield cut_plane(
                subject, self.along, other, points=points, reach=self.reach, seed=self.seed
            )


@dataclass(frozen=True)
class LineTask(OnStoredRun):
    """Evaluate the objective on a line, with error bars over batches.

    The result is a :class:`~optlab.tasks.slicing.LineSlice`.

    Attributes:
        run_id, other, points, reach, seed, examples: see :class:`SliceTask`.
    """

    run_id: str
    other: str = ""
    points: int = 61
    reach: float = 0.0
    seed: int = 0
    examples: int = EXAMPLES

    def run(self, controls: Controls) -> Iterator[LineSlice]:
        """See :class:`~optlab.tasks.task.Task`."""
        other = (
            stored(self.other, self.examples, changed_data=self.changed_data)
            if self.other
            else None
        )
        yield cut_line(
            stored(self.run_id, self.examples, changed_data=self.changed_data),
            other,
            points=self.points,
            reach=self.reach,
            seed=self.seed,
        )


@dataclass(frozen=True)
class PathConvexity:
    """Where along the path of a run the objective is convex.

    Attributes:
        steps: of some points of the path.
        lowest: the smallest eigenvalue of the Hessian at each.
        convex: whether no eigenvalue is negative there, beyond rounding.
    """

    steps: tuple[int, ...]
    lowest: Floats
    convex: tuple[bool, ...]

    @property
    def sentence(self) -> str:
        """Its summary, without a full stop."""
        where = [step for step, holds in zip(self.steps, self.convex, strict=True) if holds]
        named = (
            f" (steps {', '.join(f'{step:,}' for step in where)})"
            if 0 < len(where) < len(self.steps)
            else ""
        )
        return (
            f"the objective is convex at {len(where)} of {len(self.steps)} points of the "
            f"path{named}"
        )


def path_convexity(subject: Subject) -> PathConvexity:
    """Return the convexity of the objective at ``PATH_POINTS`` points of a path."""
    count = len(subject.path)
    points = np.unique(np.linspace(0, count - 1, PATH_POINTS).round().astype(int)).tolist()
    lowest, convex = convexity(subject.landscape, subject.path[points])
    return PathConvexity(
        tuple(subject.at_steps[point] for point in points),
        lowest.numpy(),
        tuple(convex.tolist()),
    )


@dataclass(frozen=True)
class SpectrumResult:
    """The Hessian's spectrum at a run's weights.

    Attributes:
        title: of the experiment.
        step: of the weights.
        parameters: P.
        top: the largest eigenvalues, descending.
        bottom: the smallest eigenvalues, ascending.
        residual: the largest relative residual.
        products: number of Hessian products for them.
        trace, trace_error: estimate, and its standard error.
        grid, density: the spectral density ``[G]``; empty until it is computed.
        negative, zero: numbers of negative eigenvalues and of those that count as zero where all
            were computed, else None.
        rate: learning rate, where the steps are multiples of the gradient; None for other rules.
        factor: largest stable product of learning rate and λ₁ on a quadratic: 2, and more with
            momentum; see :func:`optlab.studies.stability.edge_factor`.
        whole: all eigenvalues ``[P]``, ascending; empty where P exceeds
            :data:`~optlab.core.limits.MAX_WHOLE_SPECTRUM`.
        path: convexity along the path; None for a larger model, and until it is computed.
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
    zero: int | None
    rate: float | None
    factor: float
    whole: Floats
    path: PathConvexity | None = None

    @property
    def positive(self) -> int | None:
        """Number of positive eigenvalues where all were computed, else None."""
        if self.negative is None or self.zero is None:
            return None
        return self.parameters - self.negative - self.zero


@dataclass(frozen=True)
class SpectrumTask(OnStoredRun):
    """Compute extreme eigenvalues, trace and density of the Hessian.

    The results are :class:`SpectrumResult`: without the density, with it, and for a small model with
    the path.

    Attributes:
        run_id: id of the run.
        top, bottom: numbers of eigenvalues.
        examples: maximum number of training examples; 0 for all.
    """

    run_id: str
    top: int = 8
    bottom: int = 4
    examples: int = 0

    def run(self, controls: Controls) -> Iterator[SpectrumResult]:
        """See :class:`~optlab.tasks.task.Task`."""
        subject = stored(self.run_id, self.examples, changed_data=self.changed_data)
        hessian = subject.landscape.hessian(subject.theta)
        parameters = subject.theta.shape[1]
        ends = extremes(
            hessian.product,
            subject.theta,
            top=min(self.top, parameters),
            bottom=min(self.bottom, max(0, parameters - self.top)),
        )
        estimate = trace_of(hessian)
        optimizer = experiment_of(self.run_id).optimizer
        factor = edge_factor(optimizer)
        rate = None if factor is None else getattr(optimizer, "lr", None)
        empty = np.zeros(0)
        whole = full_spectrum_of(hessian) if parameters <= MAX_WHOLE_SPECTRUM else None
        first = SpectrumResult(
            subject.title,
            subject.step,
            parameters,
            ends.top[0].numpy(),
            ends.bottom[0].numpy(),
            float(ends.residuals[0]),
            int(ends.products[0]),
            float(estimate.mean[0]),
            float(estimate.standard_error[0]),
            empty,
            empty,
            None if whole is None else int(whole.negative[0]),
            None if whole is None else int(whole.zero[0]),
            rate,
            2.0 if factor is None else factor,
            empty if whole is None else whole.values[0].numpy(),
        )
        yield first
        smooth = density_of(hessian)
        second = replace(first, grid=smooth.grid[0].numpy(), density=smooth.density[0].numpy())
        yield second
        if parameters <= MAX_WHOLE_SPECTRUM:
            yield replace(
                second,
                path=path_convexity(
                    with_path(self.run_id, self.examples, changed_data=self.changed_data)
                ),
            )


@dataclass(frozen=True)
class CriticalPointResult:
    """A critical point near a run's weights.

    Attributes:
        here, there: the verdicts on the run's weights and on the critical point, as text.
        converged, problem: of the search.
        distance: between the two.
        norms: gradient norm at each step of the search.
        losses: objective at the weights and at the point.
        eigenvalues: at the point, ascending (both ends where P is large).
        index: number of negative eigenvalues.
        runs_off: whether the search runs off to infinity.
        escapes: of methods that start near the point: label, objective and distance from the point
            at the end. Empty where the model is large, where the point was computed from some of
            the examples only, and until they are computed.
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
    runs_off: bool = False
    escapes: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class CriticalPointTask(OnStoredRun):
    """Search for the critical point near a run's weights.

    The results are :class:`CriticalPointResult`, without and then with ``escapes``.

    Attributes:
        run_id: id of the run.
        steps: maximum number of steps of the search.
        examples: maximum number of training examples; 0 for all.
    """

    run_id: str
    steps: int = 120
    examples: int = 0

    def run(self, controls: Controls) -> Iterator[CriticalPointResult]:
        """See :class:`~optlab.tasks.task.Task`."""
        subject = stored(self.run_id, self.examples, changed_data=self.changed_data)
        landscape = subject.landscape
        before = critical_points.name(landscape, subject.theta)
        search = critical_points.find(landscape, subject.theta, steps=self.steps)
        after = critical_points.name(landscape, search.theta, runaway=search.runaway)
        result = CriticalPointResult(
            before.sentence,
            after.sentence,
            search.converged,
            search.problem,
            search.distance,
            search.norms.numpy(),
            (before.value, after.value),
            after.eigenvalues.numpy(),
            after.index,
            search.runaway is not None,
        )
        yield result
        experiment = experiment_of(self.run_id)
        # The methods use all examples, for which a critical point of some is none.
        if (
            not result.runs_off
            and subject.theta.shape[1] <= MAX_WHOLE_SPECTRUM
            and len(subject.x) == len(experiment.dataset.load().training)
        ):
            yield replace(result, escapes=run_escapes(experiment, search.theta))


def run_escapes(
    experiment: Experiment, point: torch.Tensor
) -> tuple[tuple[str, float, float], ...]:
    """Run gradient descent, Newton's method and saddle-free Newton from near a point.

    They start at the distance ``START_OFFSET``, as a population on all examples.

    Args:
        experiment: of the run.
        point: ``[1, P]``.

    Returns:
        label, objective and distance from the point after ``ESCAPE_STEPS`` steps.
    """
    # Other settings of the run would hide how the methods behave: each is used plainly.
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
    direction = torch.randn(point.shape, generator=generator(0, "onwards"), dtype=torch.float64)
    start = point.double() + START_OFFSET * direction / torch.linalg.vector_norm(direction)
    trainer.theta = start.expand(len(methods), -1).clone()
    for _ in range(ESCAPE_STEPS):
        trainer.advance()
    losses = trainer.objective.penalized(trainer.evaluate()["train_loss"], trainer.theta).tolist()
    distances = torch.linalg.vector_norm(trainer.theta - point.double(), dim=1).tolist()
    labels = [member.optimizer.label for member in population]
    return tuple(
        (label, loss, distance)
        for label, loss, distance in zip(labels, losses, distances, strict=True)
    )


def experiment_of(run_id: str) -> Experiment:
    """Return the experiment of a stored run.

    Raises:
        InvalidInput: there is no such run.
        StoreError: it cannot be read.
    """
    with Store.open_readonly() as store:
        return Experiment.from_toml(store.run(run_id).experiment)


def with_path(run_id: str, examples: int, *, changed_data: bool = False) -> Subject:
    """Return a stored run with its path.

    The path consists of its snapshots, or where there are few, of a repetition of the training.

    Args:
        run_id: id of the run.
        examples: maximum number of training examples; 0 for all.
        changed_data: whether to go on although the files that the run has read have changed.

    Raises:
        InvalidInput: there is no such run, it has no weights, or its files have changed.
        StoreError: it cannot be read.
    """
    subject = stored(run_id, examples, changed_data=changed_data)
    if len(subject.path) >= MIN_SNAPSHOTS:
        return subject
    with Store.open_readonly() as store:
        record = store.run(run_id)
    if record.seconds > MAX_RETRAIN_SECONDS or record.device != "cpu" or not record.steps:
        return subject
    again = trained(Experiment.from_toml(record.experiment), record.steps, examples)
    # A value that was changed during the run leads elsewhere: then only the snapshots are right.
    return (
        again
        if np.allclose(again.theta.numpy(), subject.theta.numpy(), rtol=1e-5, atol=1e-7)
        else subject
    )
