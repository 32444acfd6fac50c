"""The window on a disk that is full, and on one that cannot be written to any more."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.store import Store, persistence, snapshots

_SPEC = importlib.util.spec_from_file_location(
    "small_disk", Path(__file__).parents[1] / "small_disk.py"
)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)

STEPS = 8_000


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    with _MODULE.small_disk(tmp_path / "disk") as found:
        monkeypatch.setenv("OPTLAB_HOME", str(found.path / "home"))
        found.fill(left=_MODULE.MIB)
        yield found


@pytest.fixture(params=[pytest.param("thread", marks=pytest.mark.soak), "process"])
def window(qtbot: QtBot, request: pytest.FixtureRequest) -> Iterator[MainWindow]:
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "iris"},
            "model": {"name": "linear"},
            "optimizer": {"name": "momentum"},
            "budget": {"steps": STEPS},
        }
    )
    opened = MainWindow(experiment, request.param)
    qtbot.addWidget(opened)
    opened.show()
    qtbot.waitExposed(opened)
    yield opened
    opened.close_without_asking()


def wait_idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=60_000)


def wait_held(qtbot: QtBot, window: MainWindow) -> None:
    window.start()
    qtbot.waitUntil(
        lambda: (
            window.banner.isVisible() and "is full: the run waits" in window.banner.message.text()
        ),
        timeout=60_000,
    )


def test_that_a_run_waits_on_a_full_disk_and_completes_once_there_is_room(disk, qtbot, window):
    wait_held(qtbot, window)
    disk.make_room()
    qtbot.waitUntil(lambda: not window.banner.isVisible(), timeout=20_000)
    wait_idle(qtbot, window)
    assert (
        window.controls.message.text().startswith("Finished after")
        and "recording is incomplete" not in window.controls.message.text()
    )
    with Store.open() as store:
        (record,) = store.runs()
        assert (record.status, record.steps) == ("finished", STEPS)
        np.testing.assert_array_equal(
            store.series(record.id)["batch_loss"].steps, np.arange(1, STEPS + 1)
        )


@pytest.mark.expects_log("recording of .* failed")
def test_that_a_run_that_waits_for_room_can_be_stopped(disk, qtbot, window):
    wait_held(qtbot, window)
    window.controls.stop_button.click()
    wait_idle(qtbot, window)
    assert "not recorded after step" in window.banner.message.text() and window.banner.isVisible()
    assert window.controls.message.text().endswith("The recording is incomplete.")
    disk.make_room()
    with Store.open() as store:
        (record,) = store.runs()
        assert record.status == "interrupted"
        np.testing.assert_array_equal(
            store.series(record.id)["batch_loss"].steps, np.arange(1, record.steps + 1)
        )


@pytest.mark.soak
@pytest.mark.expects_log("recording of .* failed")
def test_that_the_window_says_when_a_run_is_not_recorded_to_its_end(qtbot, window, monkeypatch):
    monkeypatch.setattr(persistence, "PAUSES", (0.0,))
    write = snapshots.write

    def failing(home, run, snapshot, taken):
        if snapshot.step:
            raise OSError(5, "Input/output error")
        return write(home, run, snapshot, taken)

    monkeypatch.setattr(snapshots, "write", failing)
    window.start()
    wait_idle(qtbot, window)
    assert window.controls.message.text().startswith(
        "Finished after"
    ) and window.controls.message.text().endswith("The recording is incomplete.")
    assert window.banner.isVisible() and "not recorded" in window.banner.message.text()
    with Store.open() as store:
        assert [record.status for record in store.runs()] == ["interrupted"]
