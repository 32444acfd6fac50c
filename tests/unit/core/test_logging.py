"""The log file: written where the data are, bounded, and never in the way."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optlab.core import logging as optlab_logging
from optlab.core import paths
from optlab.core.logging import LogFile, log_file, log_to_file, log_uncaught

ROOT = logging.getLogger("optlab")


@pytest.fixture
def handler() -> Iterator[LogFile]:
    handlers, level = list(ROOT.handlers), ROOT.level
    ROOT.handlers[:] = [each for each in handlers if not isinstance(each, LogFile)]
    paths.home().mkdir(parents=True)
    log_to_file()
    log_to_file()
    (added,) = [each for each in ROOT.handlers if isinstance(each, LogFile)]
    yield added
    ROOT.handlers[:] = handlers
    ROOT.setLevel(level)
    ROOT.propagate = True


def test_that_records_go_to_the_file_in_the_data_folder_and_nowhere_else(
    handler: LogFile, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not log_file().exists()
    logging.getLogger("optlab.training").info("session %d started", 3)
    logging.getLogger("optlab.training").debug("a detail")
    (line,) = log_file().read_text(encoding="utf-8").splitlines()
    assert line.endswith("INFO optlab.training: session 3 started")
    assert capfd.readouterr() == ("", "")


def test_that_the_file_is_replaced_when_it_is_full(
    handler: LogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optlab_logging, "MAX_BYTES", 1000)
    for number in range(100):
        logging.getLogger("optlab.test").info("record %d %s", number, "x" * 50)
    assert log_file().stat().st_size <= 1200
    assert log_file().with_suffix(".log.1").stat().st_size <= 1200
    assert "record 99" in log_file().read_text(encoding="utf-8")


def test_that_a_log_that_cannot_be_written_disturbs_nothing(
    handler: LogFile, capfd: pytest.CaptureFixture[str]
) -> None:
    log_file().mkdir()
    logging.getLogger("optlab.test").info("lost")
    assert handler.failed == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("handler")
def test_that_the_log_does_not_create_the_data_folder() -> None:
    paths.home().rmdir()
    logging.getLogger("optlab.test").info("nothing is stored")
    assert not paths.home().exists()


@pytest.mark.expects_log("uncaught exception")
def test_that_an_uncaught_exception_is_logged_with_its_traceback(handler: LogFile) -> None:
    try:
        raise ValueError("a defect")
    except ValueError:
        kind, error, trace = sys.exc_info()
        assert kind is not None
        assert error is not None
        log_uncaught(kind, error, trace)
    text = log_file().read_text(encoding="utf-8")
    assert "CRITICAL optlab: uncaught exception" in text
    assert "ValueError: a defect" in text
    assert "test_logging.py" in text


def test_that_a_command_logs_the_start_and_end_of_its_session(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(
        '[dataset]\nname = "moons"\n[model]\nname = "linear"\n[budget]\nsteps = 5\n',
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "optlab", "run", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = log_file().read_text(encoding="utf-8").splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["ended"]
    assert "started: R = 1, P = 6" in lines[0]
    assert "session" not in done.stderr
