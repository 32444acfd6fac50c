"""Any step of a stored run, and forks, for the command line and the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.lazy import numpy as np
from optlab.experiment import Experiment
from optlab.experiment.data_files import experiment_of
from optlab.experiment.own_code import own_code
from optlab.history.explaining import StepExplanation, explain
from optlab.history.forking import Fork, changed, current, to
from optlab.history.plan import Plan, plan
from optlab.history.recomputation import Moment, Progress, moment
from optlab.store import Store
from optlab.tasks.task import OnStoredRun
from optlab.training.control import Controls, SetValue
from optlab.training.snapshot import Snapshot


@dataclass(frozen=True)
class PreparedFork:
    """A fork that can be started, and what it took to prepare it.

    Attributes:
        fork: to start. title: of its experiment.
        words: sentences about what is not as it should be.
        exact: see :class:`optlab.history.recomputation.Moment`.
    """

    fork: Fork
    title: str
    words: tuple[str, ...]
    exact: bool | None


@dataclass(frozen=True)
class AtStepTask(OnStoredRun):
    """Base class of tasks at a step of a stored run.

    Attributes:
        run_id: its id, or a unique prefix of it.
        step: number of steps completed; None for the last good one.
    """

    run_id: str
    step: int | None = None

    def experiment_of(self, found: Plan) -> Experiment:
        """Return the experiment that the run of a plan was asked for.

        Raises:
            InvalidInput: its data files have changed.
        """
        record = found.record
        return experiment_of(
            record.id, record.experiment, record.identities, changed_data=self.changed_data
        )


@dataclass(frozen=True)
class MomentTask(AtStepTask):
    """Reach a step of a stored run.

    The results are a :class:`~optlab.history.plan.Plan`, which says how long it takes, then
    :class:`~optlab.history.recomputation.Progress`, and last a
    :class:`~optlab.history.recomputation.Moment`.

    Attributes:
        whole: whether instruments are read again.
    """

    whole: bool = False

    def run(self, controls: Controls) -> Iterator[Plan | Progress | Moment]:
        """Reach the step; see :class:`~optlab.tasks.task.Task`.

        Raises:
            InvalidInput: there is no such run or step, or its data files have changed.
            StoreError: it cannot be read.
        """
        with Store.open_readonly() as store:
            found = plan(store, self.run_id, self.step)
            yield found
            yield from moment(found, self.experiment_of(found), store, controls, whole=self.whole)


@dataclass(frozen=True)
class RunAtStep:
    """What a run was asked for at a step, with what had been changed by hand until then.

    Attributes:
        plan: how the step is reached. experiment: as TOML.
    """

    plan: Plan
    experiment: str


@dataclass(frozen=True)
class RunAtStepTask(AtStepTask):
    """Read what a run was asked for at a step; the result is a :class:`RunAtStep`.

    Attributes:
        in_progress: whether the last step that is stored stands for one that is not stored yet.
    """

    in_progress: bool = False

    def run(self, controls: Controls) -> Iterator[RunAtStep]:
        """Read it; no step is taken again. See :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is no such run or step, or its data files have changed.
            StoreError: it cannot be read.
        """
        with Store.open_readonly() as store:
            found = plan(store, self.run_id, self._stored_step(store))
        given = self.experiment_of(found)
        examples = len(given.dataset.load().training)
        present = current(Moment(found, given, _changed(found)), examples)
        yield RunAtStep(found, present.to_toml())

    def _stored_step(self, store: Store) -> int | None:
        if self.step is None or not self.in_progress:
            return self.step
        record = store.run(self.run_id)
        return min(self.step, max(record.steps, record.at))


def _changed(found: Plan) -> Snapshot:
    """Return a snapshot at the step of a plan that has the changed values of the run, alone."""
    values = dict(found.start.values) if found.start is not None else {}
    values |= {one.path: one.value for _, one in found.log if isinstance(one, SetValue)}
    return Snapshot(found.step, found.seconds, np.zeros(0), {}, values)


@dataclass(frozen=True)
class ForkTask(AtStepTask):
    """Prepare a fork of a stored run.

    The results are those of :class:`MomentTask`, but the last is a :class:`PreparedFork`.

    Attributes:
        changes: path → value.
        experiment: that the fork continues as, TOML, in place of the run's own; the changes are
            applied to it.
        fresh_state: whether the optimizer begins anew.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    experiment: str = ""
    fresh_state: bool = False

    def run(self, controls: Controls) -> Iterator[Plan | Progress | Moment | PreparedFork]:
        """Prepare the fork; see :class:`~optlab.tasks.task.Task`.

        Raises:
            InvalidInput: as of :class:`MomentTask`; or a change is not valid or does not fit.
            StoreError: the run cannot be read.
        """
        with Store.open_readonly() as store:
            found = plan(store, self.run_id, self.step)
            given = self.experiment_of(found)
            examples = len(given.dataset.load().training)
            # What is refused is refused before steps are taken again.
            self._fork(Moment(found, given, _changed(found)), examples)
            yield found
            for result in moment(found, given, store, controls):
                if not isinstance(result, Moment):
                    yield result
                else:
                    yield self._fork(result, examples)

    def _fork(self, at: Moment, examples: int) -> PreparedFork:
        if self.experiment:
            wanted = Experiment.from_toml(self.experiment)
            wanted = wanted.with_values(self.changes) if self.changes else wanted
        else:
            wanted = changed(at, self.changes, examples=examples)
        if wanted.dataset != at.experiment.dataset:
            wanted.check_data(wanted.dataset.load())
        made = to(at, wanted, fresh_state=self.fresh_state, examples=examples)
        return PreparedFork(made, wanted.title(), at.words, at.exact)

    def own_parts(self) -> tuple[str, ...]:
        """See :class:`~optlab.tasks.task.Task`."""
        return own_code(self.experiment) if self.experiment else ()


@dataclass(frozen=True)
class ExplainTask(AtStepTask):
    """Explain the step that leads to a step of a stored run; None for the last.

    The results are those of :class:`MomentTask`, but the last is a
    :class:`~optlab.history.explaining.StepExplanation`.

    Attributes:
        parameter: name of the parameter to show; "" for the one that moves most.
    """

    parameter: str = ""

    def run(self, controls: Controls) -> Iterator[Plan | Progress | StepExplanation]:
        """Explain the step; see :class:`~optlab.tasks.task.Task`.

        Raises:
            InvalidInput: there is no such run, step or parameter, or its data files have changed.
            StoreError: it cannot be read.
        """
        with Store.open_readonly() as store:
            last = plan(store, self.run_id, self.step)
            if last.step <= last.record.at:
                raise InvalidInput(
                    f"No step of run {last.record.id} leads to step {last.step:,}, where it begins; "
                    f"choose one from {last.record.at + 1:,} to {last.last:,}.",
                    "at",
                )
            found = plan(store, last.record.id, last.step - 1)
            yield found
            for result in moment(found, self.experiment_of(found), store, controls, whole=False):
                yield explain(result, self.parameter) if isinstance(result, Moment) else result
