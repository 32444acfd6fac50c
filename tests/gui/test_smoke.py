"""The smoke test of the window, which checks packages: it passes here, and it can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from optlab.core import paths
from optlab.gui.main_window import MainWindow
from optlab.gui.smoke import SmokeTest
from optlab.store import Store

ROOT = Path(__file__).parents[2]


def smoke(picture: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "optlab", "--smoke", str(picture)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    # The offscreen platform prints this for every window with a minimum size.
    done.stderr = done.stderr.replace("This plugin does not support propagateSizeHints()\n", "")
    return done


def test_that_the_smoke_test_trains_stores_and_takes_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "home"))
    done = smoke(tmp_path / "window.png")
    assert (done.returncode, done.stderr) == (0, "")
    with Store.open_readonly() as store:
        (record,) = store.runs()
    assert (record.status, record.steps) == ("finished", 2000)
    assert f"run {record.id} is stored" in done.stdout
    # The screen of the offscreen platform is 800 pixels wide.
    assert QImage(str(tmp_path / "window.png")).width() >= 700


def test_that_a_folder_that_cannot_be_written_to_is_a_sentence_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "home"))
    done = smoke(tmp_path / "window.png")
    assert done.returncode == 1
    assert done.stderr.startswith(f"The data folder {paths.home()} cannot be created")
    assert done.stderr.count("\n") == 1


def test_that_a_smoke_test_that_cannot_start_says_why(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "home"))
    window = MainWindow(None, "thread")
    qtbot.addWidget(window)
    test = SmokeTest(window, tmp_path / "window.png")
    window.controls.set_startable(False, "the learning rate is missing")
    test.begin()
    assert test.problem.startswith("Start cannot be clicked")
    assert not (tmp_path / "window.png").exists()
