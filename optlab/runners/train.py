"""Training for the command line and the window: start runs, or resume stored ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from optlab.core import paths
from optlab.experiment import Experiment
from optlab.experiment.data_files import experiment_of
from optlab.experiment.own_code import own_code
from optlab.history.forking import Fork, changed, to
from optlab.history.recomputation import reach
from optlab.runners.choice import choose
from optlab.runners.job_handle import JobHandle
from optlab.runners.jobs import TrainJob
from optlab.runners.pool import WorkerPool
from optlab.runners.process import ProcessRunner
from optlab.runners.runner import Runner
from optlab.runners.thread import ThreadRunner
from optlab.store.records import Origin
from optlab.store.store import Store
from optlab.training.control import Message

RunnerChoice = Literal["auto", "thread", "process"]


def train(
    experiments: Sequence[Experiment],
    *,
    runner: RunnerChoice | Runner = "auto",
    draw_share: float = 0.0,
    store: Store | Path | None = None,
    pool: WorkerPool | None = None,
    log: Sequence[tuple[int, Message]] = (),
    capacity: int = 4096,
    fork: Fork | None = None,
) -> JobHandle:
    """Train experiments together as one population, and return the handle of the started job.

    Args:
        experiments: to train.
        runner: ``auto`` for a process where code of the user's is executed, and else to measure;
            see :func:`optlab.runners.choice.choose`. Or a runner for this job only.
        draw_share: share of the time that this process spends drawing.
        store: a store or an OptLab folder in which the runs are recorded, or None.
        pool: from which worker processes are taken.
        log: messages to apply, each with the number of completed steps before it.
        capacity: see :class:`~optlab.runners.job_handle.JobHandle`.
        fork: where the run begins, unless at its own start; ``experiments`` are that of the fork.

    Raises:
        StoreError: the runs cannot be recorded.
    """
    documents = tuple(experiment.to_toml() for experiment in experiments)
    if isinstance(runner, str):
        runner = _chosen(runner, draw_share, documents, pool)
    writer = None
    if store is not None:
        with _opened(store) as opened:
            origin = None if fork is None else Origin(fork.parent, fork.at)
            writer = opened.begin(experiments, runner.name, origin=origin)
    snapshots = None if fork is None else (fork.snapshot,)
    job = TrainJob(documents, snapshots, (*(() if fork is None else fork.log), *log))
    return _started(JobHandle(job, runner, writer, capacity))


def fork(
    run_id: str,
    step: int | None = None,
    changes: Mapping[str, Any] | None = None,
    *,
    store: Path | None = None,
    fresh_state: bool = False,
    runner: RunnerChoice | Runner = "auto",
) -> JobHandle:
    """Fork a stored run, and return the handle of the started job.

    The state of the step is reached first, in this thread.

    Args:
        run_id: of the run, or a unique prefix of it.
        step: number of completed steps at which the fork begins; None for the last good one.
        changes: path → value; see :meth:`optlab.experiment.Experiment.with_values`.
        store: the OptLab folder; None for the user's.
        fresh_state: whether the optimizer begins anew.
        runner: see :func:`train`.

    Raises:
        InvalidInput: there is no such run or step, or a change is not valid or does not fit.
        StoreError: the run cannot be read.
    """
    with Store.open_readonly(store) as opened:
        at = reach(opened, run_id, step)
    examples = len(at.experiment.dataset.load().training)
    made = to(
        at,
        changed(at, changes or {}, examples=examples),
        fresh_state=fresh_state,
        examples=examples,
    )
    experiment = Experiment.from_toml(made.experiment)
    home = paths.writable_home() if store is None else store
    return train([experiment], runner=runner, store=home, fork=made)


def resume(
    run_ids: Sequence[str],
    *,
    store: Store | Path,
    runner: RunnerChoice | Runner = "auto",
    draw_share: float = 0.0,
    pool: WorkerPool | None = None,
    log: Sequence[tuple[int, Message]] = (),
    capacity: int = 4096,
    changed_data: bool = False,
) -> JobHandle:
    """Resume stored runs under the same ids, and return the handle of the started job.

    They continue from their newest snapshot, or else from the start.

    Args:
        run_ids: one run, or several that are resumed as one population.
        store: a store or an OptLab folder.
        runner, draw_share, pool, capacity: see :func:`train`.
        log: messages to apply in addition to the stored ones.
        changed_data: whether to go on although the files that a run has read have changed.

    Raises:
        InvalidInput: there is no such run, it cannot be resumed (it is finished, diverged, or in
            progress), or a file that it has read has changed or is missing.
        StoreError: stored data are damaged, or cannot be written.
    """
    with _opened(store) as opened:
        found = [opened.run(run_id) for run_id in run_ids]
        for record in found:
            if record.resumable and not changed_data:
                # A worker checks what executes code of the user's.
                experiment_of(
                    record.id,
                    record.experiment,
                    record.identities,
                    check=runner == "thread" or not own_code(record.experiment),
                )
        if isinstance(runner, str):
            documents = [record.experiment for record in found]
            runner = _chosen(runner, draw_share, documents, pool)
        writer = opened.resume(run_ids, runner.name)
    job = TrainJob(writer.experiments, writer.snapshots, (*writer.log, *log))
    return _started(JobHandle(job, runner, writer, capacity))


def shared_runner(ranks: int) -> Runner:
    """Return a runner of so many processes that share every batch.

    In a process that ``torchrun`` has started it joins the ranks that are there. Whether an
    experiment can be shared is said by :func:`optlab.training.data_parallel.check_shareable`.
    """
    # Imported here: a window does not wait for it.
    from optlab.runners.ranks.joined import JoinedRunner, joined
    from optlab.runners.ranks.runner import RanksRunner

    return JoinedRunner() if joined() else RanksRunner(ranks)


def _started(job: JobHandle) -> JobHandle:
    job.start()
    return job


def _chosen(
    runner: RunnerChoice, draw_share: float, documents: Sequence[str], pool: WorkerPool | None
) -> Runner:
    name = choose(runner, draw_share, own_code=any(map(own_code, documents)))
    return ThreadRunner() if name == "thread" else ProcessRunner(pool)


@contextmanager
def _opened(store: Store | Path) -> Iterator[Store]:
    if isinstance(store, Store):
        yield store
    else:
        with Store.open(store) as opened:
            yield opened
