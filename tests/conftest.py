"""What every test gets: a folder of its own for OptLab's data, an off-screen Qt, and a check that
it left nothing behind.

The organizing idea of the check: a picture of the process before the test, one after its last
fixture was torn down, and the test fails on what is new: a running thread, a child process, an open
top-level window, an active timer. It fails as well on a log record or Qt message of level WARNING
or above that it did not expect (``@pytest.mark.expects_log("pattern")``, pytest-qt's
``qt_log_ignore``). Warnings are errors by pyproject.toml.

Qt is looked at only where a test made an application; nothing here imports it for a test that does
not.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from optlab.core.spawning import template_ids

if os.environ.get("OPTLAB_TEST_X") != "1":
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
# As optlab.core.lazy sets it, for tests that import torch before OptLab does: spinning threads
# starve whatever else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "leak_grace",
        "seconds that threads and processes are given to end after a test",
        default="5",
    )


def pytest_configure() -> None:
    """Let no test of Hypothesis fail because the machine is slow, nor because it is busy."""
    from hypothesis import HealthCheck, settings

    settings.register_profile("optlab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("optlab")


def pytest_xvfb_disable(config: pytest.Config) -> bool:
    """No virtual screen is started where Qt draws off screen."""
    return os.environ.get("QT_QPA_PLATFORM") == "offscreen"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "optlab-home"))


@pytest.fixture
def make_older() -> Callable[[Path, int], None]:
    """Turn the store of a folder into one of an older version: what the later migrations brought is
    removed, and checksums cover what is left.
    """

    def make(home: Path, version: int) -> None:
        from optlab.store.checksums import register
        from optlab.store.database import NAME, migrations

        schema = sqlite3.connect(":memory:")
        connection = sqlite3.connect(home / NAME, isolation_level=None)
        register(schema)
        register(connection)
        for script in migrations()[:version]:
            schema.executescript(script)
        for index in _indexes(connection) - _indexes(schema):
            connection.execute(f"DROP INDEX {index}")
        before = _schema(schema)
        for table, columns in _schema(connection).items():
            if table not in before:
                connection.execute(f"DROP TABLE {table}")
                continue
            later = [name for name in columns if name not in before[table]]
            for name in later:
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
            if later and "checksum" in before[table]:
                covered = ", ".join(name for name in before[table] if name != "checksum")
                connection.execute(f"UPDATE {table} SET checksum = optlab_checksum({covered})")
        connection.execute(f"PRAGMA user_version = {version}")
        if version == 0:
            connection.execute("PRAGMA application_id = 0")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
        schema.close()

    return make


def _indexes(connection: sqlite3.Connection) -> set[str]:
    """The names of the indexes that a statement has created."""
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    )
    return {name for (name,) in found}


def _schema(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The columns of each table."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {
        table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        for (table,) in tables
        if not table.startswith("sqlite_")
    }


@pytest.fixture(autouse=True, scope="module")
def _small_heap() -> None:
    """Put all that libraries and earlier modules hold out of the collector's sight: the leak check
    walks what it sees, before and after each test.
    """
    gc.collect()
    gc.freeze()


_SLOW = (
    "architecture/test_front_page.py",
    "architecture/test_lazy_imports.py",
    "cli",
    "contracts",
    "end_to_end",
    "foreign",
    "gui",
    "soak",
    "store/test_damaged_stores.py",
    "store/test_random_damage.py",
    "store/test_recording_faults.py",
    "unit/benchmarks",
    "unit/catalogue/instruments",
    "unit/catalogue/optimizers",
    "unit/catalogue/pretraining",
    "unit/catalogue/surfaces",
    "unit/core/test_logging.py",
    "unit/curvature",
    "unit/history",
    "unit/optim",
    "unit/outside/own_models",
    "unit/runners",
    "unit/studies",
    "unit/test_leak_checks.py",
    "unit/training",
    "unit/watch",
)
"""Folders and files of tests that drive windows, commands and workers, or train at length."""


def _is_slow(path: Path) -> bool:
    here = Path(__file__).parent
    return path.is_relative_to(here) and path.relative_to(here).as_posix().startswith(_SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import what ``make test-fast`` leaves out: that takes as long as its other tests."""
    return True if "not slow" in config.option.markexpr and _is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ``make test-fast`` leaves out."""
    for item in items:
        if _is_slow(item.path):
            item.add_marker(pytest.mark.slow)


# --- what a test might leave behind ----------------------------------------------------------------------------------------------


class _Records(logging.Handler):
    """Collects log records of level WARNING and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._last: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record is self._last:  # propagated from one of the loggers to the other
            return
        self._last = record
        self.messages.append(f"{record.levelname} {record.name}: {record.getMessage()}")


@dataclass
class _Picture:
    """The process before a test."""

    records: _Records = field(default_factory=_Records)
    threads: Collection[threading.Thread] = ()
    processes: Collection[psutil.Process] = ()
    windows: Collection[int] = ()
    timers: Collection[int] = ()


_PICTURE = pytest.StashKey[_Picture]()
_EXIT_STATUS = pytest.StashKey[int]()
_LOGGERS = (logging.getLogger(), logging.getLogger("optlab"))
"""OptLab's own logger does not propagate once it writes to a file."""
_LEFT_RUNNING: list[threading.Thread] = []


def pytest_collection_finish() -> None:
    """Set the tests themselves, some million objects, apart from what the collector looks through.

    It looks twice a test of the window for timers, and each full collection goes through them all.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    item.stash[_PICTURE] = picture = _Picture()
    for logger in _LOGGERS:
        logger.addHandler(picture.records)
    return (yield)


@pytest.fixture(autouse=True)
def _picture_before(request: pytest.FixtureRequest) -> None:
    # Fixtures of a module or the session are set up before this one: what they hold is not this
    # test's.
    picture = request.node.stash[_PICTURE]
    picture.threads = set(threading.enumerate())
    picture.processes = set(_processes())
    if _application() is not None:
        picture.windows = set(_windows())
        picture.timers = set(_active_timers())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Outermost, so that all fixtures are torn down and pytest-qt has closed its widgets when the
    check runs.
    """
    picture = item.stash[_PICTURE]
    qt_messages: list[str] = []
    stop_listening = _listen_to_qt(item, qt_messages)
    try:
        yield
        deadline = time.monotonic() + float(item.config.getini("leak_grace"))
        leaks = [
            *_stray_windows_and_timers(item, picture),
            *_stray_threads(picture, deadline),
            *_stray_processes(picture, deadline),
        ]
    finally:
        stop_listening()
        for logger in _LOGGERS:
            logger.removeHandler(picture.records)
    leaks += _unexpected_records(item, picture.records.messages)
    leaks += [f"Qt message: {message}" for message in qt_messages]
    if leaks:
        pytest.fail(
            "The test left behind or caused:\n" + "\n".join(f"  {leak}" for leak in leaks),
            pytrace=False,
        )


def _unexpected_records(item: pytest.Item, messages: list[str]) -> list[str]:
    patterns = [str(pattern) for mark in item.iter_markers("expects_log") for pattern in mark.args]
    strays = [
        f"log record: {message}"
        for message in messages
        if not any(re.search(pattern, message) for pattern in patterns)
    ]
    missing = [
        pattern
        for pattern in patterns
        if not any(re.search(pattern, message) for message in messages)
    ]
    return strays + [
        f"no log record matches {pattern!r}, which the test expects" for pattern in missing
    ]


# --- threads and processes -------------------------------------------------------------------------------------------------------


_OF_LIBRARIES = ("Dask-Offload", "optlab-optim")
"""Names of threads that a library starts once for the whole process: ``optlab.optim`` is one."""


def _stray_threads(picture: _Picture, deadline: float) -> list[str]:
    running = []
    for thread in set(threading.enumerate()) - set(picture.threads):
        # Where a fixture of the module has failed, there is no picture of the time before.
        if thread is threading.current_thread() or thread.name.startswith(_OF_LIBRARIES):
            continue
        if isinstance(thread, threading._DummyThread):
            # A thread that was started outside Python; before Python 3.13 its object outlives it.
            alive = any(entry.id == thread.native_id for entry in psutil.Process().threads())
        else:
            thread.join(max(0.0, deadline - time.monotonic()))
            alive = thread.is_alive()
        if alive:
            running.append(f"running thread: {thread.name}")
            _LEFT_RUNNING.append(thread)
    return running


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # The interpreter would wait for a thread that is left running, perhaps without end; the failure
    # is already reported.
    if any(thread.is_alive() and not thread.daemon for thread in _LEFT_RUNNING):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_EXIT_STATUS])


def _processes() -> list[psutil.Process]:
    multiprocessing.active_children()  # collects the children that have ended
    return psutil.Process().children(recursive=True)


def _stray_processes(picture: _Picture, deadline: float) -> list[str]:
    new = [
        process
        for process in _processes()
        if process not in picture.processes and not _is_ended(process)
    ]
    # One tracker and one process from which workers are forked are started for the whole session,
    # and end with it.
    templates = template_ids()
    new = [
        process
        for process in new
        if "multiprocessing.resource_tracker" not in _command(process)
        and process.pid not in templates
        and not _is_template_of(process, picture.processes)
    ]
    _, alive = psutil.wait_procs(new, timeout=max(0.0, deadline - time.monotonic()))
    found = [f"running process: {process.pid} {_command(process)}" for process in alive]
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)
    return found


def _is_template_of(process: psutil.Process, before: Collection[psutil.Process]) -> bool:
    """Return whether a worker of a cluster, which outlives the test, forks its own from a process."""
    try:
        return process.ppid() in {one.pid for one in before} and "spawn_main" in _command(process)
    except psutil.NoSuchProcess:
        return False


def _is_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return "(ended)"


# --- Qt --------------------------------------------------------------------------------------------------------------------------


def _application() -> Any:
    """The QApplication, or None; never imports Qt."""
    widgets = sys.modules.get("PySide6.QtWidgets")
    return None if widgets is None else widgets.QApplication.instance()


def _listen_to_qt(item: pytest.Item, messages: list[str]) -> Callable[[], None]:
    """Collects warnings of Qt from here on (pytest-qt covers the test itself, not its teardown);
    returns what ends that.
    """
    core = sys.modules.get("PySide6.QtCore")
    if core is None or item.get_closest_marker("no_qt_log"):
        return lambda: None
    ignored = [
        *item.config.getini("qt_log_ignore"),
        *(str(p) for mark in item.iter_markers("qt_log_ignore") for p in mark.args),
    ]
    serious = (core.QtMsgType.QtWarningMsg, core.QtMsgType.QtCriticalMsg)

    def keep(kind: Any, _context: Any, message: str) -> None:
        if kind in serious and not any(re.search(pattern, message) for pattern in ignored):
            messages.append(message)

    previous = core.qInstallMessageHandler(keep)
    return lambda: core.qInstallMessageHandler(previous)


def _windows() -> dict[int, str]:
    """Address of the C++ object → description, of each top-level window that is open or that
    nothing owns.
    """
    import shiboken6

    return {
        shiboken6.getCppPointer(widget)[
            0
        ]: f"{type(widget).__name__} {widget.objectName() or widget.windowTitle()!r}"
        for widget in sys.modules["PySide6.QtWidgets"].QApplication.topLevelWidgets()
        if widget.isVisible() or widget.parent() is None
    }


def _with_subclasses(kind: type) -> set[type]:
    """Return ``kind`` and all classes derived from it."""
    return {kind}.union(*(_with_subclasses(derived) for derived in kind.__subclasses__()))


def _active_timers() -> dict[int, str]:
    """Address of the C++ object → description, of each QTimer that runs and does not belong to a
    window that is still there.
    """
    import shiboken6

    core, widgets = sys.modules["PySide6.QtCore"], sys.modules["PySide6.QtWidgets"]
    owned = [
        timer
        for top in widgets.QApplication.topLevelWidgets()
        for timer in top.findChildren(core.QTimer)
    ]
    # Those that only Python holds have no owner to ask; the collector's list has them all.
    kinds = _with_subclasses(core.QTimer)
    known = [
        thing for thing in gc.get_objects() if type(thing) in kinds and shiboken6.isValid(thing)
    ]
    held = {shiboken6.getCppPointer(timer)[0] for timer in owned}
    active = [
        timer
        for timer in known
        if timer.isActive() and shiboken6.getCppPointer(timer)[0] not in held
    ]
    return {
        shiboken6.getCppPointer(timer)[
            0
        ]: f"every {timer.interval()} ms, {timer.objectName() or 'unnamed'}"
        for timer in active
    }


def _stray_windows_and_timers(item: pytest.Item, picture: _Picture) -> list[str]:
    application = _application()
    if application is None or item.get_closest_marker("leaves_window"):
        return []
    deferred_delete = sys.modules["PySide6.QtCore"].QEvent.Type.DeferredDelete
    for attempt in range(2):
        application.processEvents()
        application.sendPostedEvents(None, deferred_delete)
        windows = {
            address: what for address, what in _windows().items() if address not in picture.windows
        }
        timers = {
            address: what
            for address, what in _active_timers().items()
            if address not in picture.timers
        }
        if not windows and not timers:
            return []
        if attempt == 0:
            # plots and their menus hold each other in cycles: they are gone only after a collection
            gc.collect()
    return [
        *(f"top-level window: {what}" for what in windows.values()),
        *(f"active timer: {what}" for what in timers.values()),
    ]
