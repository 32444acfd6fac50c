"""Views of a model at a step of a run: what it predicts, what it gets wrong, how it looks inside.

A view is computed from a :class:`~optlab.tasks.model_point.ModelPoint`. Several views of one step
are one task, so that the step is reached once.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import InvalidInput, OptLabError
from optlab.experiment import Experiment
from optlab.experiment.own_code import own_code
from optlab.history.plan import Plan, plan
from optlab.history.recomputation import Moment, Progress, moment
from optlab.store import Store
from optlab.tasks.history import AtStepTask
from optlab.tasks.model_point import ModelPoint, model_point
from optlab.tasks.task import Task
from optlab.training.control import Controls, Stop
from optlab.training.trainer import Trainer


class View(ABC):
    """What is asked of a model at a point; a frozen dataclass.

    Attributes:
        name: of the kind of view.
    """

    name: ClassVar[str]

    @abstractmethod
    def compute(self, point: ModelPoint) -> Any:
        """Return the view.

        Raises:
            InvalidInput: this model or its data have no such view.
        """


@dataclass(frozen=True)
class ModelViews:
    """Views of one model at one point.

    Attributes:
        run_id: of the run; "" where it is not stored.
        step: of the weights.
        views: what was asked for → its result.
        refused: what was asked for → why there is no such view.
        seconds: that computing them took, without reaching the step.
        words: sentences about what is not as it should be.
    """

    run_id: str
    step: int
    views: Mapping[View, Any]
    refused: Mapping[View, str]
    seconds: float = 0.0
    words: tuple[str, ...] = ()


def look(
    point: Callable[[], ModelPoint],
    views: Sequence[View],
    run_id: str = "",
    words: tuple[str, ...] = (),
) -> ModelViews:
    """Return the views of a model that exist, and why the others do not.

    Args:
        point: returns the model.
        views: what is asked for.
        run_id: of the run; "" where it is not stored.
        words: sentences about what is not as it should be.

    Raises:
        InvalidInput: there is no such model.
    """
    began = time.perf_counter()
    at = point()
    found: dict[View, Any] = {}
    refused: dict[View, str] = {}
    for view in views:
        try:
            found[view] = view.compute(at)
        except InvalidInput as error:
            refused[view] = str(error)
    return ModelViews(run_id, at.step, found, refused, time.perf_counter() - began, words)


@dataclass(frozen=True)
class ViewsAtStepTask(AtStepTask):
    """Look at the model of a stored run at a step.

    The results are those of :class:`~optlab.tasks.history.MomentTask`, but the last is a
    :class:`ModelViews`.

    Attributes:
        views: what is asked for.
    """

    views: tuple[View, ...] = ()

    def run(self, controls: Controls) -> Iterator[Plan | Progress | ModelViews]:
        """Reach the step and look; see :class:`~optlab.tasks.task.Task`.

        Raises:
            InvalidInput: there is no such run or step, or its data files have changed.
            StoreError: it cannot be read.
        """
        with Store.open_readonly() as store:
            found = plan(store, self.run_id, self.step)
            yield found
            for result in moment(found, self.experiment_of(found), store, controls, whole=False):
                if not isinstance(result, Moment):
                    yield result
                    continue
                kept = result.snapshot
                point = partial(
                    model_point, result.experiment, kept.theta, found.step, kept.values, kept.state
                )
                yield look(point, self.views, found.record.id, result.words)


@dataclass(frozen=True)
class ViewsOfWeightsTask(Task):
    """Look at a model whose weights are at hand, those of a run in progress.

    The result is a :class:`ModelViews`.

    Attributes:
        experiment: as TOML.
        theta: weights ``[P]``.
        step: number of steps that led to them.
        values: fields that had been changed by hand, path → value.
        views: what is asked for.
        run_id: of the run; "" where it is not stored.
        state: of the snapshot that the weights are of.
    """

    experiment: str
    theta: NDArray[Any] = field(repr=False, default_factory=lambda: np.zeros(0))
    step: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    views: tuple[View, ...] = ()
    run_id: str = ""
    state: Mapping[str, NDArray[Any]] = field(repr=False, default_factory=dict)

    def run(self, controls: Controls) -> Iterator[ModelViews]:
        """Look; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: the experiment cannot be read, or the weights are not those of its model.
        """
        experiment = Experiment.from_toml(self.experiment, check=False)
        yield look(
            partial(model_point, experiment, self.theta, self.step, self.values, self.state),
            self.views,
            self.run_id,
        )

    def own_parts(self) -> tuple[str, ...]:
        """See :class:`~optlab.tasks.task.Task`."""
        return own_code(self.experiment)


@dataclass(frozen=True)
class ViewsOfTrainedTask(Task):
    """Train an experiment for a number of steps and look at its model; nothing is stored.

    The result is a :class:`ModelViews`.

    Attributes:
        experiment: as TOML.
        steps: to take.
        views: what is asked for.
    """

    experiment: str
    steps: int = 0
    views: tuple[View, ...] = ()

    def run(self, controls: Controls) -> Iterator[ModelViews]:
        """Train and look; see :class:`~optlab.tasks.task.Task`.

        Raises:
            InvalidInput: the number of steps is negative, or the experiment cannot be run.
            OptLabError: it diverges.
        """
        if self.steps < 0:
            raise InvalidInput(f"--steps is {self.steps}, but it must be 0 or more.", "steps")
        experiment = Experiment.from_toml(self.experiment)
        trainer = Trainer([experiment.with_value("device", "cpu")])
        for _ in range(self.steps):
            if any(isinstance(message, Stop) for message in controls.receive(trainer.step)):
                return
            trainer.advance()
        trainer.sync_divergence()
        if not trainer.alive:
            raise OptLabError(
                f"The run diverged within {self.steps:,} steps, so it has no weights to look at; "
                "lower the learning rate or the number of steps."
            )
        at = trainer.snapshot(0, 0.0, "asked")
        point = partial(model_point, experiment, at.theta, at.step, at.values, at.state)
        yield look(point, self.views)

    def own_parts(self) -> tuple[str, ...]:
        """See :class:`~optlab.tasks.task.Task`."""
        return own_code(self.experiment)
