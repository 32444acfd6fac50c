"""The leak checks of tests/conftest.py, put to tests that leak."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SETTINGS = """
[pytest]
leak_grace = 0.3
filterwarnings = error
markers =
    expects_log(pattern): expected
    leaves_window: exempt
"""

QT_SETTINGS = """
qt_api = pyside6
qt_log_level_fail = WARNING
"""

WITHOUT_QT = """
import logging, multiprocessing, os, subprocess, sys, threading, warnings
import pytest

HELD = []


def test_bad_thread():
    # For ever, and no daemon: the session has to end all the same.
    threading.Thread(target=threading.Event().wait, name="left-running").start()


def test_bad_process():
    HELD.append(subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE))


def test_good_after_bad_thread_and_process():
    pass


def test_bad_log_record():
    logging.getLogger("optlab.test").warning("nobody expects this")


def test_bad_warning():
    warnings.warn("a stray warning")


def test_bad_warning_in_thread():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


@pytest.mark.expects_log("is awaited")
def test_bad_missing_log_record():
    pass


@pytest.mark.expects_log("WARNING optlab.test: all .* well")
def test_good_expected_log_record():
    logging.getLogger("optlab.test").warning("all is well")


def test_good_info():
    logging.getLogger("optlab.test").info("not worth a word")


def test_good_thread_that_ends_in_time():
    threading.Timer(0.05, lambda: None).start()


def test_good_worker_process():
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    process.join()
    process.close()


@pytest.fixture(scope="module")
def shared_thread():
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="of-the-module")
    thread.start()
    yield
    done.set()
    thread.join()


def test_good_first_user_of_a_shared_thread(shared_thread):
    pass


def test_good_second_user_of_a_shared_thread(shared_thread):
    pass


def test_good_home_is_its_own(tmp_path):
    assert os.environ["OPTLAB_HOME"].startswith(str(tmp_path))


def test_good_without_qt():
    assert not any(name.startswith("PySide6") for name in sys.modules)
"""

WITH_QT = """
import pytest
from PySide6.QtCore import QObject, QTimer, qWarning
from PySide6.QtWidgets import QApplication, QDialog, QMainWindow, QWidget
import pyqtgraph

HELD = []


def test_good_offscreen(qapp):
    assert qapp.platformName() == "offscreen"


def test_bad_open_window(qapp):
    window = QMainWindow()
    window.setObjectName("left-open")
    window.show()
    HELD.append(window)


def test_bad_hidden_window(qapp):
    window = QWidget()
    window.setObjectName("left-hidden")
    HELD.append(window)


def test_bad_timer(qapp):
    timer = QTimer()
    timer.setObjectName("left-ticking")
    timer.start(1000)
    HELD.append(timer)


def test_bad_timer_of_an_object(qapp):
    owner = QObject()
    timer = QTimer(owner)
    timer.setObjectName("left-owned")
    timer.start(1000)
    HELD.append(owner)


def test_bad_qt_message(qapp):
    qWarning("a stray Qt message")


@pytest.fixture
def noisy_teardown():
    yield
    qWarning("a Qt message of the teardown")


def test_bad_qt_message_in_teardown(qapp, noisy_teardown):
    pass


@pytest.mark.qt_log_ignore("of the teardown")
def test_good_ignored_qt_message(qapp, noisy_teardown):
    pass


@pytest.mark.leaves_window
def test_good_marked_window(qapp):
    window = QWidget()
    HELD.append(window)


def test_good_closed_window(qtbot):
    window = QMainWindow()
    timer = QTimer(window)
    timer.start(1000)
    dialog = QDialog(window)
    qtbot.addWidget(window)
    window.show()
    dialog.show()


def test_good_plot(qtbot):
    plot = pyqtgraph.PlotWidget()
    qtbot.addWidget(plot)
    plot.plot([1, 2, 3])
    plot.show()
    plot.getPlotItem().getViewBox().menu.aboutToShow.emit()


def test_good_dropped_window(qapp):
    window = QWidget()
    window.me = window


@pytest.fixture(scope="module")
def shared_window(qapp):
    window = QWidget()
    timer = QTimer(window)
    timer.start(1000)
    window.show()
    yield window
    window.close()


def test_good_shared_window(shared_window):
    pass
"""


def outcomes(
    pytester: pytest.Pytester, source: str, settings: str, *options: str
) -> tuple[dict[str, str], str]:
    """Test name → "passed", "failed" or "error", of ``source`` run under the project's conftest in
    a process of its own; and what it printed.
    """
    pytester.makeini(settings)
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    module = pytester.makepyfile(source)
    printed = pytester.runpytest_subprocess("-rA", "-v", *options, timeout=60).stdout.str()
    found: dict[str, str] = {}
    for line in printed.splitlines():
        word, _, rest = line.partition(" ")
        name = rest.partition(" ")[0].rpartition("::")[2]
        if word in ("PASSED", "FAILED", "ERROR") and f"{module.name}::" in rest:
            # A test that passed and then failed its check is listed twice: the worse word counts.
            found[name] = word.lower() if found.get(name, "passed") == "passed" else found[name]
    return found, printed


def misjudged(found: dict[str, str]) -> dict[str, str]:
    """Those whose outcome is not what their name says."""
    return {
        name: outcome
        for name, outcome in found.items()
        if (outcome == "passed") != name.startswith("test_good")
    }


def test_that_threads_processes_logs_and_warnings_left_behind_fail_a_test(
    pytester: pytest.Pytester,
) -> None:
    found, printed = outcomes(pytester, WITHOUT_QT, SETTINGS, "-p", "no:pytest-qt")

    assert misjudged(found) == {}, printed
    assert len(found) == WITHOUT_QT.count("\ndef test_"), printed
    for sentence in (
        "running thread: left-running",
        "running process: ",
        "log record: WARNING optlab.test: nobody expects this",
        "UserWarning: a stray warning",
        "no log record matches 'is awaited'",
    ):
        assert sentence in printed


def test_that_windows_timers_and_messages_left_behind_fail_a_test(
    pytester: pytest.Pytester,
) -> None:
    found, printed = outcomes(pytester, WITH_QT, SETTINGS + QT_SETTINGS)

    assert misjudged(found) == {}, printed
    assert len(found) == WITH_QT.count("\ndef test_"), printed
    for sentence in (
        "top-level window: QMainWindow 'left-open'",
        "top-level window: QWidget 'left-hidden'",
        "active timer: every 1000 ms, left-ticking",
        "active timer: every 1000 ms, left-owned",
        "a stray Qt message",
        "Qt message: a Qt message of the teardown",
    ):
        assert sentence in printed
