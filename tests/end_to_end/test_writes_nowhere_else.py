"""Nothing is written outside the data folder: not by a run, and not by Qt's own dialogs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHES = (".cache/fontconfig", ".cache/mesa_shader_cache", ".cache/mesa_shader_cache_db")
"""What the system's font and graphics libraries keep for every program: not ours to move."""

OPEN_A_DIALOG = """
import sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QFileDialog
from optlab.entry import main
from optlab.gui.main_window import MainWindow

seen = []

def accept():
    for dialog in QApplication.topLevelWidgets():
        if isinstance(dialog, QFileDialog) and dialog.isVisible():
            seen.append(dialog)
            dialog.reject()
            return
    QTimer.singleShot(50, accept)

class Window(MainWindow):
    def show(self):
        super().show()
        QTimer.singleShot(0, self._ask)

    def _ask(self):
        QTimer.singleShot(50, accept)
        self.complete()
        self.files.open()
        self.close_without_asking()

import optlab.gui.main_window
optlab.gui.main_window.MainWindow = Window
code = main([])
assert seen, "no dialog was seen"
sys.exit(code)
"""


def _environment(home: Path) -> dict[str, str]:
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "OPTLAB_"))
    }
    return {
        **own,
        "HOME": str(home),
        "OPTLAB_HOME": str(home / "data"),
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPATH": str(ROOT),
    }


def _written(home: Path) -> list[str]:
    files = [str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()]
    return [
        name for name in files if not name.startswith(("data/", *(f"{one}/" for one in CACHES)))
    ]


@pytest.mark.parametrize(
    "command",
    [
        ["-c", OPEN_A_DIALOG],
        ["-m", "optlab", "--smoke", "{}/data/picture.png"],
        ["-m", "optlab", "run", "iris-softmax", "--steps", "5"],
        pytest.param(["-m", "optlab", "list", "optimizers"], marks=pytest.mark.soak),
        pytest.param(["-m", "optlab", "doctor"], marks=pytest.mark.soak),
    ],
    ids=["dialog", "smoke", "run", "list", "doctor"],
)
def test_that_nothing_is_written_outside_the_data_folder(
    command: list[str], tmp_path: Path
) -> None:
    home = tmp_path / "user"
    (home / "data").mkdir(parents=True)
    words = [word.replace("{}", str(home)) if word.startswith("{}") else word for word in command]
    done = subprocess.run(
        [sys.executable, *words],
        env=_environment(home),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert _written(home) == []
    assert [path.name for path in tmp_path.iterdir()] == ["user"]


def test_that_dialogs_remember_their_folder_in_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", OPEN_A_DIALOG],
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "qt" / "QtProject.conf").is_file()
