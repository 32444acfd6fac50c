"""Studies: where their populations are trained."""

from __future__ import annotations

from collections.abc import Sequence

from optlab.core.spawning import Spawned, usable_cores
from optlab.experiment import Experiment
from optlab.experiment.epochs import in_steps
from optlab.runners.cluster.connection import ClusterConnection
from optlab.runners.cluster.runner import ClusterRunner
from optlab.runners.job_handle import JobHandle
from optlab.runners.pool import WorkerPool
from optlab.runners.train import RunnerChoice, resume, train
from optlab.store.store import Store
from optlab.studies.comparison.study import Study

WORTH_PROCESSES_SECONDS = 6.0
"""Estimated time in one thread from which worker processes pay: each takes seconds to start."""
_STEP_SECONDS = 2.5e-4
"""About the time of a step of a small network, most of it overhead."""
_OPERATIONS_PER_SECOND = 5e9


class LocalLauncher:
    """Trains the populations of a study on this machine.

    Args:
        store: in which the runs are recorded.
        runner: ``process`` for one worker a core; ``thread`` for one population after the other in
            this process; ``auto`` for what takes less time, and for processes where code of the
            user's is executed.
        study: that will be trained, from which ``auto`` estimates.
        spawned: processes of workers that have been started already, which ``auto`` then uses: they
            import torch before this process would have done so.

    Attributes:
        slots: populations that are trained at the same time.
    """

    def __init__(
        self,
        store: Store,
        runner: RunnerChoice,
        study: Study,
        spawned: Sequence[Spawned] = (),
    ) -> None:
        self._store = store
        slots = usable_cores()
        if runner == "auto":
            own = any(arm.own_code for arm in study.arms)
            runner = "process" if own or _worth_processes(study) else "thread"
            if runner == "thread" and spawned:
                runner, slots = "process", len(spawned)
        self.runner: RunnerChoice = runner
        # Seconds are compared only between runs that have the machine for themselves.
        self.slots = slots if runner == "process" and not study.is_timed else 1
        self._pool = WorkerPool(self.slots, spawned) if runner == "process" else None
        if self._pool is not None:
            self._pool.warm()
        else:
            for process in spawned:
                process.end()

    def start(self, experiments: Sequence[Experiment]) -> JobHandle:
        """See :class:`optlab.studies.comparison.conduct.Launcher`."""
        return train(experiments, runner=self.runner, store=self._store, pool=self._pool)

    def resume(self, run_ids: Sequence[str]) -> JobHandle:
        """See :class:`optlab.studies.comparison.conduct.Launcher`."""
        return resume(run_ids, runner=self.runner, store=self._store, pool=self._pool)

    def close(self) -> None:
        """End the spare workers. Safe to call twice."""
        if self._pool is not None:
            self._pool.close()


class ClusterLauncher:
    """Trains the populations of a study on a cluster; this process records them.

    Args:
        store: in which the runs are recorded. connection: to the cluster, which stays open.

    Attributes:
        slots: populations that are trained at the same time.
    """

    def __init__(self, store: Store, connection: ClusterConnection, study: Study) -> None:
        self._store = store
        self._connection = connection
        self.slots = 1 if study.is_timed else max(1, connection.slots)

    def start(self, experiments: Sequence[Experiment]) -> JobHandle:
        """See :class:`optlab.studies.comparison.conduct.Launcher`."""
        return train(experiments, runner=ClusterRunner(self._connection), store=self._store)

    def resume(self, run_ids: Sequence[str]) -> JobHandle:
        """See :class:`optlab.studies.comparison.conduct.Launcher`."""
        return resume(run_ids, runner=ClusterRunner(self._connection), store=self._store)

    def close(self) -> None:
        """Do nothing: the connection belongs to who has opened it."""


def _worth_processes(study: Study) -> bool:
    return usable_cores() > 1 and estimated_seconds(study) > WORTH_PROCESSES_SECONDS


def estimated_seconds(study: Study) -> float:
    """Return about how long a study takes in one thread, all runs of an arm as one population."""
    tuning = study.tuning_runs
    runs = study.seeds.count + tuning
    seconds = 0.0
    for arm in study.arms:
        experiment = arm.experiment
        operations = 6.0 * experiment.layout().total * max(1, experiment.batches.size) * runs
        step = _STEP_SECONDS + operations / _OPERATIONS_PER_SECOND
        seconds += _steps(experiment) * step
    return seconds


def _steps(experiment: Experiment) -> int:
    if experiment.budget.unit == "steps":
        return experiment.budget.steps
    examples = len(experiment.dataset.load().training)
    return in_steps(experiment, experiment.batches.steps_per_epoch(examples)).budget.steps
