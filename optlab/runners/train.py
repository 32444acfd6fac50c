"""Training as the surfaces ask for it: begin runs or go on with stored ones, recorded or not, in a
thread or a process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from optlab.experiment import Experiment
from optlab.runners.choice import choose
from optlab.runners.job_handle import JobHandle
from optlab.runners.jobs import TrainJob
from optlab.runners.pool import WorkerPool
from optlab.runners.process import ProcessRunner
from optlab.runners.runner import Runner, RunnerName
from optlab.runners.thread import ThreadRunner
from optlab.store.store import Store
from optlab.training.control import Message

Asked = Literal["auto", "thread", "process"]


def train(
    experiments: Sequence[Experiment],
    *,
    runner: Asked = "auto",
    draw_share: float = 0.0,
    store: Store | Path | None = None,
    pool: WorkerPool | None = None,
    log: Sequence[tuple[int, Message]] = (),
    capacity: int = 4096,
) -> JobHandle:
    """Train experiments together as one population; the owner has been started.

    Args:
        runner: ``auto`` measures; see :func:`optlab.runners.choice.choose`.
        draw_share: share of the time that this process spends drawing.
        store: where the runs are recorded (a store, or an OptLab folder), or None for nowhere.
        pool: where worker processes come from.
        log: messages to apply, each after so many steps.
        capacity: see :class:`~optlab.runners.job_handle.JobHandle`.

    Raises:
        StoreError: the runs cannot be recorded.
    """
    name = choose(runner, draw_share)
    writer = None
    if store is not None:
        with _opened(store) as opened:
            writer = opened.begin(experiments, name)
    job = TrainJob(tuple(experiment.to_toml() for experiment in experiments), None, tuple(log))
    return _started(JobHandle(job, _runner(name, pool), writer, capacity))


def resume(
    run_ids: Sequence[str],
    *,
    store: Store | Path,
    runner: Asked = "auto",
    draw_share: float = 0.0,
    pool: WorkerPool | None = None,
    log: Sequence[tuple[int, Message]] = (),
    capacity: int = 4096,
) -> JobHandle:
    """Go on with stored runs, from their newest snapshot or else from the start, under the same
    ids; the owner has been started.

    Args:
        run_ids: of one run, or of several that go on together as one population.
        log: messages to apply, each after so many steps, beside those that are stored.

    Raises:
        InvalidInput: there is no such run, or it cannot be resumed (it is finished, diverged, or
            going on).
        StoreError: what is stored is damaged, or cannot be written.
    """
    name = choose(runner, draw_share)
    with _opened(store) as opened:
        writer = opened.resume(run_ids, name)
    job = TrainJob(writer.experiments, writer.snapshots, (*writer.log, *log))
    return _started(JobHandle(job, _runner(name, pool), writer, capacity))


def _started(owner: JobHandle) -> JobHandle:
    owner.start()
    return owner


def _runner(name: RunnerName, pool: WorkerPool | None) -> Runner:
    return ThreadRunner() if name == "thread" else ProcessRunner(pool)


@contextmanager
def _opened(store: Store | Path) -> Iterator[Store]:
    if isinstance(store, Store):
        yield store
    else:
        with Store.open(store) as opened:
            yield opened
