"""Studies from the main window: a contender is added, its study runs, and its verdict is the one of
the command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QApplication, QInputDialog, QMessageBox
from pytestqt.qtbot import QtBot

from optlab.cli.app import main
from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.runs.runs_menu import RunsMenu
from optlab.gui.studies import studies_window
from optlab.gui.studies.compare_window import CompareWindow
from optlab.gui.studies.leader_board import COLUMNS
from optlab.gui.studies.studies_window import StudiesWindow
from optlab.gui.studies.study_editor import StudyEditor
from optlab.runners.train import train as train_now
from optlab.store import Store
from optlab.studies.comparison import reading

from .conftest import BASE, WAIT, stored

Build = Callable[..., MainWindow]


def trigger(window: MainWindow, text: str) -> None:
    """Trigger an entry of the menu bar by its text."""
    actions = [one for menu in window.menuBar().actions() for one in _entries(menu)]
    next(one for one in actions if one.text().replace("&", "") == text).trigger()


def _entries(menu: QAction) -> list[QAction]:
    inner: Any = menu.menu()
    return list(inner.actions()) if inner is not None else []


def editor_of(qtbot: QtBot, window: MainWindow) -> StudyEditor:
    window.controls.contender_button.click()
    editor = window.contenders.editor
    assert editor is not None
    qtbot.waitUntil(lambda: editor.checked is not None, timeout=WAIT)
    return editor


def place_of(window: MainWindow) -> StudiesWindow:
    window.secondary_windows.show_studies()
    place = window.places.place("studies")
    assert isinstance(place, StudiesWindow)
    return place


def board(place: StudiesWindow) -> list[dict[str, str]]:
    model = place.view.board
    return [
        {name: model.index(row, n).data() or "" for n, name in enumerate(COLUMNS)}
        for row in range(model.rowCount())
    ]


def trains(place: StudiesWindow) -> bool:
    """Whether the progress says that a population is beyond its first step."""
    return re.search(r"step [1-9]", place.progress_label.text()) is not None


def slower(qtbot: QtBot, editor: StudyEditor, seeds: int = 3) -> None:
    """Make the second arm one with a tiny rate, on a few seeds, decided by the training loss."""
    editor.arms.rows[0].name.setText("fast")
    editor.arms.rows[0].changes.setText("optimizer.lr = 0.1")
    editor.arms.rows[1].name.setText("slow")
    editor.arms.rows[1].changes.setText("optimizer.lr = 0.001")
    editor.seeds.set_values({"count": seeds, "data": True})
    editor.measure.of.setCurrentText("train_loss")
    editor.decide.relation.setCurrentIndex(editor.decide.relation.findData("<"))
    editor.arms.rows[1].changes.textEdited.emit("")
    editor.decide.arm.setCurrentIndex(0)
    editor.decide.against.setCurrentIndex(1)
    qtbot.waitUntil(lambda: editor.checked is not None, timeout=WAIT)


def test_that_a_contender_becomes_a_study_with_the_verdict_of_the_command_line(
    qtbot: QtBot,
    open_window: Build,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window = open_window(shown=False, optimizer={"name": "sgd"}, budget={"steps": 30})
    editor = editor_of(qtbot, window)
    assert [row.name.text() for row in editor.arms.rows] == ["sgd", "adam"]
    slower(qtbot, editor)
    assert "is lower for fast than for slow" in editor.sentence.text()
    assert "It trains 6 runs." in editor.sentence.text()
    editor.run_button.click()
    place = place_of(window)
    qtbot.waitUntil(lambda: place.message.text() == "Finished.", timeout=WAIT)
    qtbot.waitUntil(lambda: bool(place.view.forest.rows), timeout=WAIT)
    assert place.page is not None and place.page.kind == "file"

    assert main(["study", place.page.key, "--runner", "thread", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    news = place.view.news
    assert news is not None
    mine = json.loads(json.dumps(news.record.result))
    for document in (alone, mine):
        for arm in document["arms"].values():
            del arm["runs"]
    assert {key: alone[key] for key in mine if key != "seconds"} == {
        key: value for key, value in mine.items() if key != "seconds"
    }
    assert alone["verdict"] == "supported"

    rows = board(place)
    assert [row["Arm"] for row in rows] == ["fast", "slow"]
    for row in rows:
        arm = alone["arms"][row["Arm"]]
        assert row["Mean"] == f"{arm['mean']:.4g}" and row["Seeds"] == "3 of 3"
        assert row["Interval"] == "[{:.4g}, {:.4g}]".format(*arm["interval"])
        curves, model = place.view.curves, place.view.board
        color = model.index(rows.index(row), 1).data(Qt.ItemDataRole.DecorationRole)
        assert color.name() == curves.curve(row["Arm"]).ink(curves.colors)
        band = curves.band(row["Arm"])
        assert band is not None and band.mean[-1] == pytest.approx(arm["mean"], rel=1e-9)
    (drawn,), (row_drawn,) = place.view.forest.drawn(), place.view.forest.rows
    (one,) = alone["comparisons"]
    assert drawn == (one["effect"], *one["interval"]) and one["effect"] < 0.0
    assert row_drawn.label == "fast < slow" and row_drawn.verdict == "supported"
    assert place.view.verdict.text() == "fast < slow: supported here."

    place.copy_action.trigger()
    assert QGuiApplication.clipboard().text() == f"optlab study {place.page.key}"
    place.export("csv", tmp_path / "values.csv")
    qtbot.waitUntil((tmp_path / "values.csv").exists, timeout=WAIT)
    lines = (tmp_path / "values.csv").read_text().splitlines()
    assert len(lines) == 7 and lines[1].startswith("fast,0,")
    qtbot.waitUntil(lambda: not place.writing.active, timeout=WAIT)

    # On more seeds, in a study of its own; those that both have are the same.
    monkeypatch.setattr(QInputDialog, "getInt", lambda *_: (4, True))
    place.seeds_action.trigger()
    qtbot.waitUntil(
        lambda: place.view.news is not None and "4 of 4" in board(place)[0]["Seeds"], timeout=WAIT
    )
    qtbot.waitUntil(lambda: not place.conductor.active, timeout=WAIT)
    assert place.view.news is not None and place.view.news.record.id != news.record.id
    more = place.view.news.record.result["arms"]["fast"]
    assert more["low"][:3] == pytest.approx(mine["arms"]["fast"]["low"], rel=1e-5)

    # Its runs side by side, as the command compares them.
    ids = [run.run for run in news.runs]
    window.secondary_windows.compare_runs(ids)
    side = window.places.place("compare")
    assert isinstance(side, CompareWindow)
    side.of.setCurrentText("train_loss")
    qtbot.waitUntil(
        lambda: side.comparison is not None and side.comparison.series == "train_loss", timeout=WAIT
    )
    assert side.comparison is not None
    assert main(["compare", *side.ticked(), "--of", "train_loss", "--json"]) == 0
    assert side.comparison.result == json.loads(capsys.readouterr().out)
    assert set(side.curves.keys) == set(ids) and side.differs.item(0, 0) is not None
    assert sorted(side.ticked()) == sorted(ids) and len(side.forest.rows) == 1


def test_that_runs_of_the_panel_are_compared_and_get_contenders(
    qtbot: QtBot, open_window: Build
) -> None:
    rates = (0.1, 0.01)
    with Store.open() as store:
        for rate in rates:
            experiment = Experiment.from_dict({**BASE, "optimizer": {"name": "sgd", "lr": rate}})
            assert train_now([experiment], runner="thread", store=store).join(WAIT / 1000)
    window = open_window(shown=False)
    panel, menu = window.runs.panel, window.findChild(RunsMenu)
    assert menu is not None
    window.runs.begin()
    qtbot.waitUntil(lambda: len(panel.model.table.rows) == 2, timeout=WAIT)
    panel.tree.selectAll()
    assert not menu.of_runs["add_contender"].isEnabled()
    menu.of_runs["compare"].trigger()
    side = window.places.place("compare")
    assert isinstance(side, CompareWindow)
    qtbot.waitUntil(lambda: side.comparison is not None, timeout=WAIT)
    assert side.comparison is not None
    row = next(one for one in side.comparison.differs if one[0] == "optimizer.lr")
    assert sorted(row[1:]) == ["0.01", "0.1"] and len(side.forest.rows) == 1

    slow = next(run for run in stored() if "lr = 0.01" in run.experiment)
    panel.select_run(slow.id)
    assert not menu.of_runs["compare"].isEnabled()
    menu.of_runs["add_contender"].trigger()
    editor = window.contenders.editor
    assert editor is not None
    qtbot.waitUntil(lambda: editor.checked is not None, timeout=WAIT)
    study = reading.from_toml(editor.file.toPlainText())
    assert study.arm("sgd").experiment == Experiment.from_toml(slow.experiment)
    assert study.arm("adam").experiment.optimizer.name == "adam"


def test_that_bad_input_is_said_beside_its_field(qtbot: QtBot, open_window: Build) -> None:
    window = open_window(shown=False)
    editor = editor_of(qtbot, window)
    first, second = editor.arms.rows
    for text, row, words in (
        ("optimizer.lr", second, "is no change"),
        ("optimizer.lrr = 1", second, "lrr"),
        ("optimizer.lr = -1", second, "arms.adam: "),
    ):
        row.changes.setText(text)
        row.changes.textEdited.emit(text)
        qtbot.waitUntil(lambda words=words: words in second.problem.text(), timeout=WAIT)
        assert not editor.run_button.isEnabled() and first.problem.isHidden()
    second.changes.setText("")
    second.name.setText("a < b")
    second.name.textEdited.emit("")
    qtbot.waitUntil(lambda: "cannot stand in a statement" in second.problem.text(), timeout=WAIT)
    second.name.setText("b")
    editor.decide.margin.setText("much")
    editor.decide.margin.textEdited.emit("much")
    qtbot.waitUntil(lambda: "margin" in editor.decide.problems(), timeout=WAIT)
    assert second.problem.isHidden()
    editor.decide.margin.setText("0")
    editor.tune.on.setChecked(True)
    editor.tune.low.setText("2")
    editor.tune.low.textEdited.emit("2")
    qtbot.waitUntil(lambda: "path" in editor.tune.problems(), timeout=WAIT)
    assert "must rise" in editor.tune.problems()["path"]


def test_that_a_study_shows_itself_is_stopped_kept_and_goes_on_and_that_closing_asks(
    qtbot: QtBot, open_window: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its first picture waits for no pause between two looks.
    monkeypatch.setattr(studies_window, "LOOK_MILLISECONDS", 10**9)
    window = open_window(shown=False, optimizer={"name": "sgd"}, budget={"steps": 20000})
    editor = editor_of(qtbot, window)
    slower(qtbot, editor, 2)
    editor.run_button.click()
    place = place_of(window)
    qtbot.waitUntil(lambda: trains(place), timeout=WAIT)
    qtbot.waitUntil(lambda: place.view.curves.band("fast") is not None, timeout=WAIT)
    # It is there with the first values, long before a run has ended.
    assert {run.status for run in stored()} == {"running"}
    assert "of fast, slow" in place.progress_label.text() and not place.run_action.isEnabled()

    asked: list[str] = []

    def refuse() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            asked.append(box.text())
            box.reject()
        else:
            QTimer.singleShot(20, refuse)

    QTimer.singleShot(0, refuse)
    window.places.close_place("studies")
    assert window.places.place("studies") is place
    assert asked == [
        "A study is in progress. Stop it and close? What it reached is kept, and it can go on later."
    ]
    place.stop_action.trigger()
    qtbot.waitUntil(lambda: not place.conductor.active, timeout=WAIT)
    qtbot.waitUntil(
        lambda: (
            place.page is not None
            and place.page.kind == "stored"
            and place.run_action.text() == "Go on"
        ),
        timeout=WAIT,
    )
    runs = {run.id: run.steps for run in stored()}
    assert 0 < max(runs.values()) < 20000
    place.run_action.trigger()
    qtbot.waitUntil(lambda: trains(place), timeout=WAIT)
    window.close_without_asking()
    assert window.places.place("studies") is None
    after = {run.id: (run.steps, run.status) for run in stored()}
    assert after.keys() == runs.keys()
    assert all(status in ("stopped", "interrupted") for _, status in after.values())
    assert all(steps >= runs[run] for run, (steps, _) in after.items())


def test_that_claims_and_shipped_studies_have_pages(qtbot: QtBot, open_window: Build) -> None:
    window = open_window(shown=False)
    trigger(window, "Studies and claims")
    place = place_of(window)
    qtbot.waitUntil(lambda: len(place.list.entries("claim")) > 40, timeout=WAIT)
    place.list.filter.setText("K44")
    assert [one.key for one in place.list.entries("claim")] == ["K44"]
    place.list.filter.setText("")
    place.show_study("claim", "K44")
    qtbot.waitUntil(lambda: place.page is not None and place.page.key == "K44", timeout=WAIT)
    assert place.run_action.text() == "Conduct" and place.view.forest.rows
    assert "negative control" in place.view.verdict.text()
    assert "Negative control" in place.view.protocol.toPlainText()
    assert place.view.file.toPlainText().startswith("format")
    place.show_study("shipped", "nesterov-vs-momentum")
    qtbot.waitUntil(
        lambda: place.page is not None and place.page.key == "nesterov-vs-momentum", timeout=WAIT
    )
    assert not place.view.forest.rows and place.run_action.text() == "Run"
