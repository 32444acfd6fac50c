"""The window over a damaged store: it says what was saved, and work goes on."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.store import Store


def test_that_the_window_sets_a_damaged_store_aside_and_goes_on(qtbot: QtBot, tmp_path: Path):
    home = tmp_path / "optlab-home"
    experiment = Experiment.from_dict(
        {"dataset": {"name": "iris"}, "model": {"name": "linear"}, "budget": {"steps": 20}}
    )
    with Store.open(home) as store:
        store.begin([experiment], "thread").close()
    with (home / "optlab.sqlite").open("r+b") as file:
        file.write(bytes(100))
    window = MainWindow(experiment, "thread")
    qtbot.addWidget(window)
    window.show()
    try:
        qtbot.waitUntil(lambda: "set aside" in window.banner.message.text(), timeout=10_000)
        assert "1 run" in window.banner.message.text()
        window.start()
        qtbot.waitUntil(lambda: not window.bridge.active, timeout=30_000)
        with Store.open(home) as store:
            assert store.notice == ""
            assert sorted(run.status for run in store.runs()) == ["finished", "interrupted"]
    finally:
        window.bridge.shut_down()
        window.close()
