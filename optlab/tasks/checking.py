"""The check of an experiment, with what a form shows of it.

An experiment with files or code of the user's own is checked in a worker: reading a table may take
seconds, and code of the user's may do anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optlab.core.data import LearningTask
from optlab.core.errors import InvalidInput, OptLabError
from optlab.experiment import Experiment, suited_loss
from optlab.experiment.own_code import own_code_of
from optlab.tasks.task import Task
from optlab.training.control import Controls
from optlab.training.data_parallel import check_shareable


@dataclass(frozen=True)
class ExperimentCheck:
    """The result of a check.

    Attributes:
        tables: what was checked.
        loss: the ``[loss]`` section with which it was checked; another one than that of the tables
            where a loss was to be fitted and theirs does not suit.
        problem: why the experiment is invalid, or "".
        field: dotted path of the field to correct, or "".
        task: learning task; None where there is a problem.
        parameters: their number.
        tensors: weights as text, ``W1 4×8``.
    """

    tables: Mapping[str, Any]
    loss: Mapping[str, Any]
    problem: str = ""
    field: str = ""
    task: LearningTask | None = None
    parameters: int = 0
    tensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckTask(Task):
    """Check an experiment; the result is an :class:`ExperimentCheck`.

    Attributes:
        tables: of the experiment.
        fit_loss, load_data, shared: see :func:`check`.
    """

    tables: Mapping[str, Any]
    fit_loss: bool
    load_data: bool = False
    shared: bool = False

    def own_parts(self) -> tuple[str, ...]:
        """Return the model where it is the user's own; see :class:`~optlab.tasks.task.Task`."""
        return own_code_of(self.tables)

    def run(self, controls: Controls) -> Iterator[ExperimentCheck]:
        """Check the experiment; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.
        """
        yield check(
            self.tables, fit_loss=self.fit_loss, load_data=self.load_data, shared=self.shared
        )


@dataclass(frozen=True)
class CheckAllTask(Task):
    """Check several experiments; the result is a tuple with an :class:`ExperimentCheck` of each.

    The first that has a problem is the last in it.

    Attributes:
        checks: one for each experiment.
    """

    checks: tuple[CheckTask, ...]

    def own_parts(self) -> tuple[str, ...]:
        """Return the models that are the user's own; see :class:`~optlab.tasks.task.Task`."""
        return tuple(dict.fromkeys(part for check in self.checks for part in check.own_parts()))

    def run(self, controls: Controls) -> Iterator[tuple[ExperimentCheck, ...]]:
        """Check the experiments; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.
        """
        results: list[ExperimentCheck] = []
        for task in self.checks:
            results += task.run(controls)
            if results[-1].problem:
                break
        yield tuple(results)


def check(
    tables: Mapping[str, Any], *, fit_loss: bool, load_data: bool = False, shared: bool = False
) -> ExperimentCheck:
    """Check the experiment of these tables; problems are in the result.

    Args:
        tables: of the experiment, with a section for the loss.
        fit_loss: whether a loss that does not suit the data or the model is replaced before the
            check.
        load_data: whether the data are loaded, and the experiment is checked against them.
    """
    loss: Mapping[str, Any] = tables["loss"]
    try:
        loss = _fitted(tables) if fit_loss else loss
        experiment = Experiment.from_dict({**tables, "loss": loss})
        if load_data or shared:
            data = experiment.dataset.load()
            experiment.check_data(data)
            if shared:
                check_shareable(experiment, data)
        layout = experiment.layout()
        task = experiment.target_shape().task
    except OptLabError as error:
        return refused(tables, error, loss)
    tensors = tuple(
        f"{spec.name} {'×'.join(map(str, spec.shape))}"
        for spec in layout.parameters
        if spec.role == "weight"
    )
    return ExperimentCheck(tables, loss, "", "", task, layout.total, tensors)


def _fitted(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return suited_loss(tables)
    except OptLabError:
        # The check that follows says the same, in the order in which a person corrects it.
        loss: Mapping[str, Any] = tables["loss"]
        return loss


def refused(
    tables: Mapping[str, Any], error: OptLabError, loss: Mapping[str, Any] | None = None
) -> ExperimentCheck:
    """Return the check of tables that an error refuses.

    Args:
        tables: of the experiment.
        error: says why.
        loss: with which it was checked; by default that of the tables.
    """
    field = error.field if isinstance(error, InvalidInput) else ""
    return ExperimentCheck(tables, tables["loss"] if loss is None else loss, str(error), field)
