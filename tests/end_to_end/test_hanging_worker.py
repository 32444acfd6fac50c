"""A worker that is suspended under the real command and the real window."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.hang_notice import END
from optlab.gui.main_window import MainWindow
from optlab.store import Store
from tests.workers import workers_of

COMMAND = [sys.executable, "-m", "optlab"]
ENDLESS = {
    "dataset": {"name": "iris"},
    "model": {"name": "mlp", "hidden": [8]},
    "budget": {"steps": 10**9},
}


def worker_of(process: int) -> psutil.Process:
    """The worker process of a command or a window."""
    (worker,) = workers_of(process)
    return worker


class Command:
    """``optlab`` in a process of its own, with the lines of its standard error and their times."""

    def __init__(self, home: Path, *words: str) -> None:
        environment = {
            **os.environ,
            "OPTLAB_HOME": str(home),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    def until(self, words: str, seconds: float) -> float:
        """Wait for a line with these words; the seconds that it took."""
        began = time.monotonic()
        while not any(words in line for line in self.lines):
            assert time.monotonic() - began < seconds, self.lines
            assert self.process.poll() is None, self.lines
            time.sleep(0.02)
        return time.monotonic() - began

    def end(self) -> tuple[int, str]:
        """Wait for its end; exit code and standard output."""
        output = self.process.communicate(timeout=30)[0] if self.process.stdout else ""
        self._reader.join()
        return self.process.returncode, output


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    running = Command(
        tmp_path, "run", "iris-softmax", "--steps", str(10**9), "--runner", "process", "--json"
    )
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.end()


def until_stored(home: Path, steps: int) -> str:
    """Wait until a run has stored some steps; its id."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        try:
            with Store.open_readonly(home) as store:
                runs = store.runs()
        except Exception:  # noqa: BLE001 - it is only being created
            runs = []
        if runs and runs[0].steps >= steps:
            return runs[0].id
        time.sleep(0.1)
    pytest.fail("the run stores nothing")


@pytest.mark.soak
def test_that_the_command_says_that_its_worker_is_suspended_continues_and_can_be_ended(
    command: Command, tmp_path: Path
) -> None:
    run = until_stored(tmp_path, 1)
    worker = worker_of(command.process.pid)
    worker.suspend()
    assert command.until("has not responded", 20.0) < 5.0
    (line,) = [line for line in command.lines if "has not responded" in line]
    assert f"kill -CONT {worker.pid}" in line and "Press Ctrl-C" in line
    worker.resume()
    assert command.until("responds again", 20.0) < 3.0
    with Store.open_readonly(tmp_path) as store:
        before = store.run(run).steps
    time.sleep(1.5)
    with Store.open_readonly(tmp_path) as store:
        assert store.run(run).steps > before
    worker.suspend()
    command.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    code, output = command.end()
    assert time.monotonic() - began < 10.0
    document = json.loads(output)
    assert (code, document["status"], document["recorded"]) == (130, "interrupted", True)
    assert "killed" in document["reason"]
    assert not psutil.pid_exists(worker.pid)
    assert sum("responds again" in line for line in command.lines) == 1
    with Store.open_readonly(tmp_path) as store:
        record = store.run(run)
        assert record.status == "interrupted" and record.steps > before
        assert document["steps"] == record.steps and document["seconds"] > 0.0
        assert len(store.series(run)["batch_loss"].steps) == record.steps


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[MainWindow]:
    window = MainWindow(Experiment.from_dict(ENDLESS), runner="process")
    qtbot.addWidget(window)
    window.show()
    yield window
    window.close_without_asking()


@pytest.mark.soak
def test_that_the_window_shows_a_suspended_worker_and_ends_it_on_a_click(
    qtbot: QtBot, window: MainWindow
) -> None:
    window.start()
    qtbot.waitUntil(lambda: "steps/s" in window.controls.figures.text(), timeout=60_000)
    (run,) = window.bridge.run_ids
    workers = workers_of(os.getpid())
    for worker in workers:
        worker.suspend()
    began = time.monotonic()
    qtbot.waitUntil(window.banner.isVisible, timeout=20_000)
    assert time.monotonic() - began < 5.0
    assert "has not responded" in window.banner.message.text()
    assert END in [button.text() for button in window.banner.buttons]
    for worker in workers:
        worker.resume()
    qtbot.waitUntil(lambda: not window.banner.isVisible(), timeout=20_000)
    assert "responds again" in window.controls.message.text()
    for worker in workers:
        worker.suspend()
    qtbot.waitUntil(window.banner.isVisible, timeout=20_000)
    (button,) = [button for button in window.banner.buttons if button.text() == END]
    button.click()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=10_000)
    assert "killed" in window.banner.message.text()
    for worker in workers:
        if worker.is_running():
            worker.resume()
    with Store.open_readonly() as store:
        assert store.run(run).status == "interrupted"
