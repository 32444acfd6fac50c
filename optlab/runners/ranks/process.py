"""The processes of a shared run: torch's elastic launcher, and the ranks that it starts.

The launcher is that of ``torchrun``; it watches the ranks and ends all of them when one ends. It is
a process of its own because it handles signals and starts processes. Parent and ranks speak over
pipes. On one machine the ranks find each other by a file and speak over the loopback interface, so
that nothing listens anywhere else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from optlab.core.errors import OptLabError
from optlab.objective.ranks import RanksParted, join, leave
from optlab.runners import output
from optlab.runners.heartbeat import Heartbeat
from optlab.runners.jobs import TrainJob, unexpected
from optlab.runners.ranks.job import SharedControls, perform_shared
from optlab.training.control import Inbox
from optlab.training.events import SessionFailed, SessionStarted

_LOOPBACK = {"linux": "lo", "darwin": "lo0"}
_PARTED_SECONDS = 20.0
"""How long a rank that has lost another waits for the launcher to end it.

The launcher reports the rank that ended first, which must not be this one.
"""


@dataclass(frozen=True)
class RankEnds:
    """A rank's ends of its pipes: jobs, messages and events; signs of life."""

    pipe: Connection
    beats: Connection

    def close(self) -> None:
        """Close both."""
        self.pipe.close()
        self.beats.close()


@dataclass(frozen=True)
class RankReady:
    """A rank has started: its process."""

    pid: int


@dataclass(frozen=True)
class RankDone:
    """A rank has performed its job; nothing follows.

    ``failure`` says how it failed, or is None; ``parted``: whether it only lost another rank.
    """

    failure: SessionFailed | None = None
    parted: bool = False


@dataclass(frozen=True)
class LaunchFailed:
    """The launcher's report: the exit code of each rank that ended on its own, negative for a signal.

    ``problem`` says what else was wrong, or is "".
    """

    codes: dict[int, int]
    problem: str = ""


def launch(
    ends: Sequence[RankEnds], report: Connection, printed: Connection | None, folder: str
) -> None:
    """Start a rank for each of the ends, and wait until they have ended (in the launcher's process).

    Args:
        report: to which a :class:`LaunchFailed` is sent. printed: into which the ranks print.
        folder: for the files of this launch; it is removed.
    """
    if hasattr(os, "setsid"):
        # Ctrl-C on the terminal is the parent's to handle, which can end this group at once.
        os.setsid()
    if printed is not None:
        output.redirect(printed)
    else:
        # Standard output is the command's, which may owe one JSON document to a program.
        os.dup2(2, 1)
    os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = "5"
    # It would be a server on every interface, which the ranks of one machine do not need.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        if sys.platform in _LOOPBACK:
            os.environ[name] = _LOOPBACK[sys.platform]
    try:
        report.send(_launched(ends, Path(folder)))
    except OSError:
        # The parent has gone, and so have the ranks.
        return
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _launched(ends: Sequence[RankEnds], folder: Path) -> LaunchFailed:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # What it would say is said by the parent, in words.
    logging.disable(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=len(ends),
        run_id=folder.name,
        rdzv_backend="c10d",
        # A store behind a port would listen on every interface.
        rdzv_endpoint=str(folder / "rendezvous"),
        rdzv_configs={"store_type": "file"},
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=0.1,
        start_method="spawn",
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
    )
    try:
        elastic_launch(config, work)(tuple(ends), str(folder / "ranks"))
    except ChildFailedError as error:
        return LaunchFailed({rank: failure.exitcode for rank, failure in error.failures.items()})
    except Exception as error:  # noqa: BLE001 - whatever the launcher raises is reported by the parent
        return LaunchFailed({}, f"{type(error).__name__}: {error}")
    return LaunchFailed({})


# --- in a rank's process --------------------------------------------------------------------------


def work(ends: Sequence[RankEnds], store: str) -> None:
    """Perform a job as one of the ranks (in the process of a rank).

    Args:
        ends: of all ranks. store: path of the file by which they find each other.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rank = int(os.environ["RANK"])
    for number, others in enumerate(ends):
        if number != rank:
            others.close()
    if rank:
        # The ranks execute the same code, so the first one prints for all.
        warnings.simplefilter("ignore")
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.close(nothing)
    heartbeat = Heartbeat(ends[rank].beats)
    pipe, inbox = ends[rank].pipe, Inbox()
    jobs: queue.SimpleQueue[TrainJob] = queue.SimpleQueue()
    threading.Thread(
        target=_listen, args=(pipe, jobs, inbox), name="optlab-listener", daemon=True
    ).start()
    try:
        pipe.send(RankReady(os.getpid()))
        done = _performed(rank, pipe, jobs, inbox, store, heartbeat.ready)
        output.flush()
        pipe.send(done)
    except OSError:
        # The parent has gone.
        os._exit(1)
    if done.parted:
        time.sleep(_PARTED_SECONDS)
    if done.failure is not None:
        os._exit(1)


def _performed(
    rank: int,
    pipe: Connection,
    jobs: queue.SimpleQueue[TrainJob],
    inbox: Inbox,
    store: str,
    on_started: Callable[[], None],
) -> RankDone:
    failure: SessionFailed | None = None
    try:
        ranks = join(inbox.waiting, store)
    except OptLabError as error:
        return RankDone(SessionFailed(str(error)))
    try:
        job = None if rank else jobs.get()
        for event in perform_shared(job, SharedControls(ranks, inbox)):
            # Until the first event a rank waits for others that start later, and imports libraries.
            if isinstance(event, SessionStarted):
                on_started()
            if isinstance(event, SessionFailed):
                failure = event
            elif not rank:
                pipe.send(event)
        if failure is None:
            with contextlib.suppress(RanksParted):  # the session has ended
                leave(ranks)
    except RanksParted as error:
        failure = failure or SessionFailed(str(error))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - a defect, which the parent reports
        failure = unexpected(error)
    return RankDone(failure, ranks.parted)


def _listen(pipe: Connection, jobs: queue.SimpleQueue[TrainJob], inbox: Inbox) -> None:
    while True:
        try:
            what = pipe.recv()
        except (EOFError, OSError):
            # At once and silently, whatever the main thread is doing: the parent has gone.
            os._exit(1)
        if isinstance(what, TrainJob):
            jobs.put(what)
        else:
            inbox.put(what)
