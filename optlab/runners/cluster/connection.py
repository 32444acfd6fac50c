"""The connection to a cluster: a Dask scheduler and its workers.

:func:`connect` says in one sentence what is wrong where there is none, or where its numbers would
not be the same bits: workers must have the versions of this process.

A Dask scheduler executes whatever it is sent, and both ends unpickle what they receive. So only TLS
or this machine is accepted (:mod:`optlab.runners.cluster.address`), and workers that OptLab starts
itself get certificates of their own, which are forgotten with the cluster: another user of this
machine can neither send them anything nor answer in their place.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any

from optlab.core.errors import InvalidInput, MissingPart
from optlab.runners.cluster import worker as cluster_worker
from optlab.runners.cluster.address import ClusterAddress, parse
from optlab.runners.cluster.loop import LoopThread
from optlab.runners.cluster.task import ClusterError, ClusterTask
from optlab.runners.cluster.worker import Parcel

_LOG = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
"""Time within which a scheduler must answer."""
WORKER_SECONDS = 60.0
"""Time within which workers must have started and loaded torch."""
CLOSE_SECONDS = 10.0
"""Time that workers of this machine have to end before they are killed."""
_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "distributed.scheduler")
_CONFIG = {
    # Dask blames all jobs that wait for a worker for its death; the runner counts better, except for
    # a job whose worker dies before it is heard of.
    "distributed.scheduler.allowed-failures": 20,
    # A scheduler of ours serves no pages.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # Dask would look at the stack of a job a hundred times a second.
    "distributed.worker.profile.enabled": False,
    # Snapshots from which runs resume are part of a job.
    "distributed.admin.large-graph-warning-threshold": "1TB",
}


def connect(address: str, *, insecure: bool = False) -> ClusterConnection:
    """Return the connection to a cluster, which has workers and gives the same numbers.

    Args:
        address: see :mod:`optlab.runners.cluster.address`.
        insecure: whether a scheduler of another machine may be reached without encryption.

    Raises:
        InvalidInput: the address is not valid or not secure, or versions differ.
        MissingPart: Dask is not installed.
        ClusterError: there is no scheduler, or it has no workers.
    """
    distributed, yaml = _installed()
    where = parse(address, insecure=insecure, yaml=yaml)
    security = _security(distributed, where)
    _quieten()
    with contextlib.ExitStack() as opened:
        loop = LoopThread()
        opened.callback(loop.close)
        target: Any = where.scheduler
        if where.workers:
            scratch = opened.enter_context(
                tempfile.TemporaryDirectory(prefix="optlab-cluster-", ignore_cleanup_errors=True)
            )
            target = loop.call(_workers, distributed, where, security, scratch)
            opened.callback(_ended, loop, target.close, CLOSE_SECONDS)
        client = loop.call(_client, distributed, target, where, security)
        opened.callback(_ended, loop, client.close, CONNECT_SECONDS)
        notes = loop.call(_checked, client, where)
        return ClusterConnection(where, loop, client, opened.pop_all(), notes)


class ClusterConnection:
    """A cluster that executes jobs; made by :func:`connect`. Use it as a context manager.

    Attributes:
        address: of the scheduler, or ``local:N``.
        notes: sentences for the user: what may change the last bits of a result.
    """

    def __init__(
        self,
        address: ClusterAddress,
        loop: LoopThread,
        client: Any,
        opened: contextlib.ExitStack,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.address = str(address)
        self.notes = notes
        self._loop = loop
        self._client = client
        self._opened = opened
        self._tasks: dict[str, ClusterTask] = {}
        self._lock = threading.Lock()
        self._slots = 0
        self._lost = ""
        loop.call(self._listen)
        opened.callback(_ended, loop, self._deafen, CONNECT_SECONDS)

    @property
    def slots(self) -> int:
        """Jobs that run at once: the threads of all workers (any thread).

        Those last heard of where the scheduler does not answer.
        """
        if not self.lost:
            try:
                threads = self._loop.call(self._client.nthreads, seconds=CONNECT_SECONDS)
                self._slots = sum(threads.values())
            except (OSError, concurrent.futures.CancelledError) as error:
                _LOG.info("the workers of %s are not known: %s", self.address, error)
        return self._slots

    @property
    def lost(self) -> str:
        """Why no more jobs can be executed, as a sentence; "" while they can (any thread)."""
        if not self._lost and self._client.status != "running":
            self._lost = (
                f"The connection to the cluster {self.address} is lost, and with it what was in "
                "progress there; finished runs are kept. Look at the scheduler, and start again."
            )
        return self._lost

    def start(self, sent: Parcel) -> ClusterTask:
        """Start a job as soon as a worker is free (any thread).

        Raises:
            ClusterError: the connection is lost or closed.
        """
        with self._lock:
            task = ClusterTask(self._loop, self._client, lambda: self.lost)
            self._tasks[task.key] = task
            try:
                self._loop.call(task.submit, sent)
            except (ClusterError, concurrent.futures.CancelledError):
                del self._tasks[task.key]
                raise ClusterError(self.lost) from None
        return task

    def end(self, task: ClusterTask) -> None:
        """Let the cluster forget a job and its result; one in progress is given up (any thread)."""
        with self._lock:
            self._tasks.pop(task.key, None)
        task.release()

    def close(self) -> None:
        """End the connection and the workers that it has started. Safe to call twice.

        Jobs in progress fail.
        """
        with self._lock:
            self._lost = self._lost or f"The connection to the cluster {self.address} was closed."
        self._opened.close()

    def __enter__(self) -> ClusterConnection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- in the loop ------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._client.subscribe_topic(self._client.id, self._hear)
        self._client.subscribe_topic("all", self._notice)

    async def _deafen(self) -> None:
        # Otherwise the scheduler would complain that it cannot send the last events.
        if self._client.status == "running":
            self._client.unsubscribe_topic(self._client.id)
            self._client.unsubscribe_topic("all")

    def _hear(self, event: tuple[float, Any]) -> None:
        _, report = event
        # Dask itself writes to the topic of a client, too.
        if isinstance(report, dict) and "attempt" in report:
            task = self._tasks.get(report["job"])
            if task is not None:
                task.hear(report)

    def _notice(self, event: tuple[float, Any]) -> None:
        _, what = event
        if isinstance(what, dict) and what.get("action") == "remove-worker":
            for task in list(self._tasks.values()):
                task.lose(what.get("worker", ""), expected=bool(what.get("expected")))


# --- how a connection is opened -------------------------------------------------------------------


def _installed() -> tuple[Any, Any]:
    try:
        import cryptography  # noqa: F401 - with which Dask makes certificates
        import distributed
        import yaml  # noqa: TID251 - the file with a cluster's address is of Dask's world
    except ImportError:
        packaged = "the packaged OptLab leaves out; install OptLab with pip"
        installable = "is not installed; install it with: pip install 'optlab[cluster]'"
        raise MissingPart(
            f"A cluster needs Dask, which {packaged if getattr(sys, 'frozen', False) else installable}."
        ) from None
    import dask

    dask.config.set(_CONFIG)
    return distributed, yaml


class _Forward(logging.Handler):
    """Dask's records go to OptLab's log, none of them to the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        _LOG.info("%s: %s", record.name, record.getMessage())


def _quieten() -> None:
    for name in (*_LOGGERS, "tornado", "tornado.application", "tornado.general"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [_Forward()] if "." not in name else []
        logger.propagate = "." in name
        logger.setLevel(logging.WARNING)


def _security(distributed: Any, where: ClusterAddress) -> Any:
    """Return what encrypts the connection, or None.

    Raises:
        InvalidInput: certificates are missing, or cannot be used.
    """
    if where.workers:
        return distributed.Security.temporary()
    if not where.encrypted:
        return None
    files = where.certificates
    given = (
        {}
        if files is None
        else {
            "tls_ca_file": str(files.ca),
            "tls_client_cert": str(files.cert),
            "tls_client_key": str(files.key),
        }
    )
    security = distributed.Security(require_encryption=True, **given)
    if not (security.tls_ca_file and security.tls_client_cert):
        # Without an authority, Dask would trust each that the system knows.
        raise InvalidInput(
            f"The cluster {where} needs certificates: give a .yaml file with scheduler and tls "
            "(ca, cert, key), or set distributed.comm.tls.ca-file, .client.cert and .client.key "
            "in Dask's configuration."
        )
    try:
        security.get_connection_args("client")
    except OSError as error:
        raise InvalidInput(
            f"The certificates of the cluster {where} cannot be used ({_reason(error)}); look at "
            "the files ca, cert and key."
        ) from None
    return security


async def _workers(distributed: Any, where: ClusterAddress, security: Any, scratch: str) -> Any:
    try:
        return await distributed.LocalCluster(
            n_workers=where.workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={
                "dashboard_address": "127.0.0.1:0",
                "dashboard": False,
                "local_directory": scratch,
            },
            memory_limit=0,
            security=security,
            silence_logs=logging.CRITICAL,
            local_directory=scratch,
            asynchronous=True,
        )
    except (OSError, RuntimeError) as error:
        raise ClusterError(
            f"The workers of {where} could not be started ({_reason(error)}); start fewer of them."
        ) from error


async def _client(distributed: Any, target: Any, where: ClusterAddress, security: Any) -> Any:
    client = distributed.Client(
        target,
        security=security,
        timeout=CONNECT_SECONDS,
        set_as_default=False,
        direct_to_workers=False,
        name="optlab",
        asynchronous=True,
    )
    try:
        # What accepts a connection and then says nothing has no time limit of Dask's.
        return await asyncio.wait_for(client, CONNECT_SECONDS + 1.0)
    except (OSError, ValueError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            await client.close(timeout=1.0)
        raise ClusterError(
            f"No Dask scheduler can be reached at {where} within {CONNECT_SECONDS:g} seconds "
            f"({_reason(error)}); start one with: dask scheduler, or look at the address and the "
            "certificates."
        ) from error


def _ended(loop: LoopThread, close: Any, seconds: float) -> None:
    try:
        loop.call(close, seconds=seconds)
    except (OSError, RuntimeError) as error:
        # What it has started ends with this process at the latest.
        _LOG.warning("a cluster could not be closed properly: %s", _reason(error))


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


async def _checked(client: Any, where: ClusterAddress) -> tuple[str, ...]:
    """Return what the user should know about the workers.

    Raises:
        ClusterError: there are none, or they do not answer.
        InvalidInput: they have other versions.
    """
    try:
        await client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise ClusterError(
            f"The scheduler {where} has no workers; start some with: dask worker {where} "
            "--nthreads 1"
        ) from None
    try:
        found = await asyncio.wait_for(
            client.run(cluster_worker.identity, on_error="return"), WORKER_SECONDS
        )
    except OSError as error:
        raise ClusterError(
            f"The workers of {where} do not answer within {WORKER_SECONDS:g} seconds "
            f"({_reason(error)}); look at them, or start them again."
        ) from error
    here, computes = await cluster_worker.identity()
    others = set()
    for worker, answer in found.items():
        if isinstance(answer, OSError):
            raise ClusterError(
                f"The worker {worker} does not answer ({_reason(answer)}); look at it, and start "
                "again."
            ) from answer
        if isinstance(answer, BaseException):
            raise ClusterError(
                f"The worker {worker} cannot load OptLab ({_reason(answer)}); install the same "
                "OptLab there, with what it needs."
            ) from answer
        there, kind = answer
        if unlike := cluster_worker.difference(here, there):
            raise InvalidInput(
                f"The worker {worker} {unlike}: its numbers would not be the same bits; install "
                "the same versions on all machines."
            )
        if kind != computes:
            others.add(kind)
    if not others:
        return ()
    return (
        f"Workers compute on {', '.join(sorted(others))}, but this machine on {computes}: the last "
        "bits of a result may depend on where it was computed.",
    )
