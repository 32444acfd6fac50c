"""A real window, watched: an uncaught exception, in a slot, a thread or a destructor,
fails the test.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.panels.data_preview import describe
from optlab.gui.runs.runs_menu import RunsMenu
from optlab.store import RunRecord, Store
from optlab.tasks.preview import preview

WAIT = 60_000

BASE: dict[str, Any] = {
    "title": "The base",
    "dataset": {"name": "iris"},
    "model": {"name": "mlp", "hidden": [4]},
    "budget": {"steps": 2},
    "measures": {"weights": 0},
}


@pytest.fixture(autouse=True)
def uncaught(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Uncaught exceptions and warnings of Qt; the test fails where there is any."""
    found: list[str] = []

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        found.append(f"{kind.__name__}: {error}")

    monkeypatch.setattr(sys, "excepthook", hook)
    monkeypatch.setattr(
        sys,
        "unraisablehook",
        lambda args: found.append(f"{args.exc_type.__name__}: {args.exc_value}"),
    )
    monkeypatch.setattr(
        threading,
        "excepthook",
        lambda args: found.append(f"{args.exc_type.__name__}: {args.exc_value}"),
    )

    def message(kind: QtMsgType, context: Any, text: str) -> None:
        if (
            kind in (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg)
            # What the off-screen platform cannot do.
            and "propagateSizeHints" not in text
            and "does not support raise()" not in text
        ):
            found.append(text)

    before = qInstallMessageHandler(message)
    yield found
    qInstallMessageHandler(before)
    assert found == []


@pytest.fixture
def open_window(qtbot: QtBot) -> Iterator[Callable[..., MainWindow]]:
    windows: list[MainWindow] = []

    def build(*, shown: bool = True, **changes: Any) -> MainWindow:
        """Make a window; one that is not shown starts no worker, and so draws no preview."""
        window = MainWindow(Experiment.from_dict({**BASE, **changes}), "thread")
        windows.append(window)
        qtbot.addWidget(window)
        if shown:
            window.show()
            qtbot.waitExposed(window)
        return window

    yield build
    for window in windows:
        window.close_without_asking()


def stored() -> list[RunRecord]:
    """The stored runs, the newest first."""
    with Store.open() as store:
        return store.runs()


def train(qtbot: QtBot, window: MainWindow) -> RunRecord:
    """Press Start, wait for the end, and return what was stored."""
    before = len(stored())
    wait_checked(qtbot, window)
    assert window.controls.start_button.isEnabled(), window.experiment_panel.problem()
    requested = window.experiment_panel.experiment()
    window.controls.start_button.click()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=WAIT)
    runs = stored()
    assert len(runs) == before + 1
    assert Experiment.from_toml(runs[0].experiment) == requested, (
        "what the editor shows is what is trained"
    )
    return runs[0]


def wait_checked(qtbot: QtBot, window: MainWindow) -> None:
    """Wait until the experiment with files or code of the user's own has been checked."""
    qtbot.waitUntil(lambda: not window.experiment_panel.pending, timeout=WAIT)


def in_runs(window: MainWindow, action: str) -> str:
    """Do something with the newest run in the runs panel, by its menu, and return the run's id."""
    newest, runs = stored()[0], window.runs
    runs.begin()
    end = time.monotonic() + WAIT / 1000
    while runs.reading.active or runs.panel.model.row_of(newest.id) is None:
        QTest.qWait(10)
        assert time.monotonic() < end, "the runs were not read"
    runs.panel.select_run(newest.id)
    assert runs.panel.selected_runs() == [newest.id]
    menu = window.findChild(RunsMenu)
    assert menu is not None and menu.of_runs[action].isEnabled(), action
    menu.of_runs[action].trigger()
    return newest.id


def assert_refused(window: MainWindow, uncaught: list[str]) -> None:
    """Start is closed and says why; started all the same, the window reports why and stores
    nothing.
    """
    before = len(stored())
    problem = window.experiment_panel.problem()
    assert problem.endswith(".") and "\n" not in problem
    assert not window.controls.start_button.isEnabled()
    assert window.controls.start_button.toolTip() == problem
    window.start()
    assert not window.bridge.active and window.controls.message.text() == problem
    assert len(stored()) == before and uncaught == []


def beside(window: MainWindow) -> list[str]:
    """What stands beside fields and pickers now."""
    panel = window.experiment_panel
    forms = [*panel.components.values(), *panel.plain.values(), panel.general]
    editors = [
        editor
        for form in forms
        for editor in (form.form if hasattr(form, "form") else form).editors.values()
    ]
    labels = [
        *(editor.problem for editor in editors),
        *(form.problem for form in panel.components.values()),
    ]
    return [label.text() for label in labels if not label.isHidden()]


def assert_preview_is_trained(qtbot: QtBot, window: MainWindow, run: RunRecord) -> None:
    """The preview draws the very examples of the stored run's data."""
    expected = preview(Experiment.from_toml(run.experiment).to_dict()["dataset"])
    shown = window.experiment_panel.preview
    qtbot.waitUntil(lambda: shown.message.text() == describe(expected), timeout=WAIT)
    drawn = shown.picture._preview
    assert drawn is not None
    np.testing.assert_array_equal(drawn.x, expected.x)
    np.testing.assert_array_equal(drawn.y, expected.y)


def in_dialog(kind: type[QDialog], act: Callable[[Any], bool]) -> None:
    """Do something in the next modal dialog of a kind, as soon as it is there and as often as it
    takes: ``act`` says whether it is done.
    """

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, kind) or not act(dialog):
            QTimer.singleShot(20, look)

    QTimer.singleShot(0, look)


def write_table(path: Path, task: str) -> Path:
    rows = [
        f"{n}.5,{n % 7},{'red' if n % 3 else 'blue' if task == 'classes' else ''}"
        for n in range(30)
    ]
    if task == "regression":
        rows = [f"{n}.5,{n % 7},{n * 1.25}" for n in range(30)]
    path.write_text("length,width,kind\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_arrays(path: Path, task: str) -> Path:
    x = np.linspace(0.0, 1.0, 120).reshape(40, 3)
    np.savez(path, x=x, y=np.arange(40) % 4 if task == "classes" else x.sum(axis=1) + 0.125)
    return path


def write_idx(folder: Path) -> Path:
    folder.mkdir()
    images = (np.arange(50 * 9) % 251).astype(np.uint8)
    (folder / "train-images-idx3-ubyte").write_bytes(
        bytes([0, 0, 8, 3, 0, 0, 0, 50, 0, 0, 0, 3, 0, 0, 0, 3]) + images.tobytes()
    )
    (folder / "train-labels-idx1-ubyte").write_bytes(
        bytes([0, 0, 8, 1, 0, 0, 0, 50]) + bytes(n % 5 for n in range(50))
    )
    return folder


def own_data(folder: Path) -> dict[str, Path]:
    """What to call it → a file or folder of the user's own."""
    return {
        "CSV classes": write_table(folder / "flowers.csv", "classes"),
        "CSV regression": write_table(folder / "prices.csv", "regression"),
        "NPZ classes": write_arrays(folder / "arrays.npz", "classes"),
        "NPZ regression": write_arrays(folder / "values.npz", "regression"),
        "IDX": write_idx(folder / "pictures"),
    }
