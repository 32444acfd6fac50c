"""The window of watched runs: what a loop records appears while it trains."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

import optlab
from optlab.experiment.series_labels import watched_label
from optlab.gui.main_window import MainWindow
from optlab.gui.watched.watched_window import WatchedWindow
from optlab.tasks.watched_runs import FolderNews


class Loop:
    def __init__(self, folder: Path, name: str) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(4, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.watcher = optlab.watch(self.model, self.optimizer, folder=folder, name=name, every=1)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = self.model(torch.ones(2, 4)).square().mean()
            loss.backward()
            self.optimizer.step()
            self.watcher.log(loss=loss)
        self.watcher._flush()


def length(window: WatchedWindow, series: str, run: str, column: str = "") -> int:
    plot = window.plots.get(series)
    key = f"{run}/{column}"
    return len(plot.curve(key).samples) if plot is not None and key in plot.keys else 0


def tick(window: WatchedWindow, series: str) -> None:
    (item,) = window.series_list.findItems(watched_label(series), Qt.MatchFlag.MatchExactly)
    item.setCheckState(Qt.CheckState.Checked)


def test_that_a_loop_is_seen_while_it_trains_and_afterwards(qtbot: QtBot, tmp_path: Path) -> None:
    first = Loop(tmp_path, "first")
    first.run(5)
    window = WatchedWindow(None, tmp_path)
    qtbot.addWidget(window)
    window._timer.setInterval(50)
    window.show()
    one = first.watcher.folder.name
    qtbot.waitUntil(lambda: length(window, "loss", one) == 5, timeout=20_000)
    assert set(window.plots) == {"loss", "gradient_norm", "update_ratio", "lr"}
    assert window.statuses == {one: "running"} and "in progress: 1" in window.status_label.text()

    first.run(3)
    qtbot.waitUntil(lambda: length(window, "loss", one) == 8, timeout=20_000)
    tick(window, "gradient_norm_by_tensor")
    assert length(window, "gradient_norm_by_tensor", one, "weight") == 8
    second = Loop(tmp_path, "second")
    second.run(4)
    two = second.watcher.folder.name
    qtbot.waitUntil(lambda: length(window, "gradient_norm", two) == 4, timeout=20_000)
    with torch.no_grad():
        second.model.weight[0, 0] = float("nan")
    second.run(1)
    second.watcher.detach()
    first.watcher.detach()
    qtbot.waitUntil(lambda: window.statuses == {one: "finished", two: "finished"}, timeout=20_000)
    assert "second: loss is not finite" in window.events.toPlainText()
    assert window.ticked_runs() == [two, one]
    window.run_list.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert window.plots["loss"].keys == (f"{one}/",)
    window.run_list.item(0).setCheckState(Qt.CheckState.Checked)
    assert length(window, "loss", two) == 5
    window.close()


def test_that_one_slow_look_does_not_put_off_the_next_for_long(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = WatchedWindow(None, tmp_path)
    qtbot.addWidget(window)
    qtbot.waitUntil(lambda: not window.tasks.active, timeout=20_000)
    news = FolderNews(tmp_path, {}, {}, {}, ())
    for milliseconds, interval in ((10, 1000), (100, 2000), (60_000, 10_000), (10, 1000)):
        monkeypatch.setattr(window, "_asked", SimpleNamespace(elapsed=lambda it=milliseconds: it))
        window._add(news)
        assert window._timer.interval() == interval
    window.close()


@pytest.mark.qt_log_ignore("does not support raise", extend=True)
def test_that_the_menu_opens_the_folder_into_which_loops_are_recorded(
    qtbot: QtBot,
) -> None:
    window = MainWindow()
    qtbot.addWidget(window)
    window.show()
    (action,) = [
        action
        for menu in window.menuBar().actions()
        for action in menu.menu().actions()
        if "Watched" in action.text()
    ]
    action.trigger()
    watched = window.places.place("watched")
    assert isinstance(watched, WatchedWindow) and watched.isVisible()
    qtbot.waitUntil(lambda: "makes it" in watched.status_label.text(), timeout=20_000)
    watched.close()


def test_that_logs_of_other_programs_are_seen_while_they_grow(qtbot: QtBot, tmp_path: Path) -> None:
    table = tmp_path / "version_0" / "metrics.csv"
    table.parent.mkdir()
    table.write_text("step,loss\n0,1.0\n1,0.5\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/log.jsonl").write_text('{"step": 3, "loss": 9}\n')
    window = WatchedWindow(None, tmp_path)
    qtbot.addWidget(window)
    window._timer.setInterval(50)
    one, two = "version_0/metrics.csv", "b/log.jsonl"
    qtbot.waitUntil(lambda: length(window, "loss", one) == 2, timeout=20_000)
    assert length(window, "loss", two) == 1
    reading = window.plots["loss"].curve(f"{two}/").samples.reading(1e18)
    assert reading is not None and reading.last == 3

    # As Lightning does when a column is added.
    table.write_text("step,loss,val\n0,1.0,\n1,0.5,\n2,0.25,3.0\n")
    qtbot.waitUntil(lambda: length(window, "loss", one) == 3, timeout=20_000)
    tick(window, "val")
    assert length(window, "val", one) == 1
    window.close()
