"""Undo and redo over every edit of the experiment."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from optlab.core import paths, registry
from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.manners.edits import differing

from .conftest import Open


def line(window: MainWindow, path: str) -> QLineEdit:
    editor = window.experiment_panel.form.editors()[path].editor()
    assert isinstance(editor, QLineEdit)
    return editor


def type_over(qtbot: QtBot, window: MainWindow, path: str, text: str) -> None:
    line(window, path).selectAll()
    qtbot.keyClicks(line(window, path), text)


def test_that_typed_digits_are_one_edit_and_each_edit_is_undone_and_redone(
    qtbot: QtBot, window: MainWindow
) -> None:
    panel, edits = window.experiment_panel, window.manners.edits
    first = panel.tables()
    assert edits.undo_text() == "" and not window.isWindowModified()
    type_over(qtbot, window, "optimizer.lr", "0.0123")
    panel.pick("optimizer", "adam")
    type_over(qtbot, window, "model.hidden", "8, 8")
    values = registry.get("instrument", "conditioning")().values()
    window.instruments.switched.emit("conditioning", values)
    last = panel.tables()
    assert "conditioning" in panel.instruments()
    seen = []
    while edits.undo_text():
        seen.append(edits.undo_text())
        edits.undo()
    assert seen[1:] == ["hidden layers", "optimizer", "learning rate"]
    assert panel.tables() == first and not window.isWindowModified()
    assert panel.experiment() == Experiment.from_dict(first)
    while edits.redo_text():
        edits.redo()
    assert panel.tables() == last and window.isWindowModified()


def test_that_a_drag_of_the_slider_is_one_edit(window: MainWindow) -> None:
    slider = window.experiment_panel.form.editors()["optimizer.lr"].slider
    assert slider is not None
    for position in range(300, 400, 7):
        slider.setValue(position)
    window.manners.edits.undo()
    assert window.experiment_panel.experiment().optimizer.values()["lr"] == 0.05
    assert window.manners.edits.undo_text() == ""


def test_that_a_loss_that_follows_the_data_is_undone_with_them(window: MainWindow) -> None:
    panel = window.experiment_panel
    panel.pick("dataset", "diabetes")
    assert panel.chosen("loss") == "squared_error"
    window.manners.edits.undo()
    assert (panel.chosen("dataset"), panel.chosen("loss")) == ("iris", "cross_entropy")
    assert panel.problem() == ""
    panel._typing_timer.stop()


def test_that_text_that_is_no_value_is_undone_first(qtbot: QtBot, window: MainWindow) -> None:
    type_over(qtbot, window, "seed", "7")
    type_over(qtbot, window, "seed", "seven")
    window.manners.edits.undo()
    assert line(window, "seed").text() == "7" and window.experiment_panel.problem() == ""
    window.manners.edits.undo()
    assert line(window, "seed").text() == "0"


def test_that_an_opened_preset_is_one_edit_with_its_file_and_its_saved_state(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_over(qtbot, window, "seed", "7")
    monkeypatch.setattr(window.files, "may_discard_edits", lambda _: True)
    assert window.files.load(paths.presets() / "iris-softmax.toml")
    assert window.windowTitle() == "iris-softmax.toml[*] – OptLab"
    opened = window.experiment_panel.tables()
    edits = window.manners.edits
    assert edits.undo_text() == "Open experiment"
    edits.undo()
    assert window.windowTitle() == "Iris · MLP · momentum[*] – OptLab"
    assert window.isWindowModified() and line(window, "seed").text() == "7"
    edits.undo()
    assert not window.isWindowModified()
    edits.redo()
    edits.redo()
    assert window.experiment_panel.tables() == opened
    assert window.windowTitle() == "iris-softmax.toml[*] – OptLab" and not window.isWindowModified()


def test_that_the_keys_reach_the_window_from_within_a_field(
    qtbot: QtBot, open_window: Open
) -> None:
    window = open_window(shown=True)
    window.activateWindow()
    row = window.experiment_panel.strip.row("optimizer.lr")
    row.line.setFocus()
    before = row.line.text()
    row.line.selectAll()
    qtbot.keyClicks(row.line, "0.25")
    assert line(window, "optimizer.lr").text() == "0.25"
    qtbot.keyClick(row.line, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert row.line.text() == line(window, "optimizer.lr").text() == before
    qtbot.keyClick(row.line, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert row.line.text() == "0.25"
    undo = window.findChild(QAction, "actionUndo")
    assert undo is not None and undo.text() == "&Undo learning rate"
    # During a run only what can be changed in it is undone, and the run hears of it.
    sent: list[tuple[str, float]] = []
    window.experiment_panel.liveValueChanged.connect(lambda *change: sent.append(change))
    window.experiment_panel.pick("model", "linear")
    window.experiment_panel.set_locked(True)
    window.manners.edits.undo()
    assert window.experiment_panel.chosen("model") == "linear" and sent == []
    assert "“model” cannot be undone or redone" in window.banner.message.text()
    row.line.setFocus()
    row.line.selectAll()
    qtbot.keyClicks(row.line, "0.5")
    window.manners.edits.undo()
    assert sent[-1] == ("optimizer.lr", 0.25) and row.line.text() == "0.25"
    window.experiment_panel.set_locked(False)


def test_that_tables_differ_where_a_value_is_added_changed_or_gone() -> None:
    before = {"seed": 0, "optimizer": {"name": "sgd", "lr": 0.1}, "model": {"name": "mlp"}}
    after = {"seed": 0, "optimizer": {"name": "sgd", "lr": 0.2}, "budget": {"steps": 3}}
    assert differing(before, after) == ["optimizer.lr", "model.name", "budget.steps"]
