"""What was where when the window was closed is there when it opens again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import QRect
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox
from pytestqt.qtbot import QtBot

from optlab.core import paths
from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.main_window import MainWindow
from optlab.gui.manners import appearance, file_dialogs
from optlab.gui.manners.preferences import Preferences
from optlab.gui.manners.session import Session
from optlab.store import Store

from .conftest import BASE, Open
from .test_undo import type_over


def test_that_a_window_is_restored_with_its_unsaved_edits(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_window()
    # Qt keeps a window that fits from outgrowing the screen: here it is 800 x 800 pixels.
    first.setGeometry(QRect(30, 60, 700, 520))
    chosen = tmp_path / "mine.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(chosen), ""))
    first.files.save()
    type_over(qtbot, first, "optimizer.lr", "0.0321")
    first.experiment_panel.form.set_opened({"budget", "optimizer"})
    first.board.show_layout("lecture")
    first.board.open_tile("error")
    first.places.show_place("watched")
    first.runs.set_grouping("optimizer")
    expected = first.experiment_panel.tables()
    first.close_without_asking()

    monkeypatch.setattr(file_dialogs.MEMORY, "folder", "")
    second = open_window()
    panel = second.experiment_panel
    assert second.geometry() == QRect(30, 60, 700, 520)
    assert panel.tables() == expected and panel.edited and second.isWindowModified()
    assert second.windowTitle() == "mine.toml[*] – OptLab" and second.files.file == chosen
    assert panel.form.opened() == ["optimizer", "budget"]
    assert set(second.board.board.keys) == {"loss", "path", "weights", "error"}
    assert second.runs.state()["grouping"] == "optimizer"
    qtbot.waitUntil(lambda: second.places.current == "watched")
    assert second.recent_files.files() == [chosen]
    assert file_dialogs.MEMORY.folder == str(tmp_path)
    assert second.manners.edits.undo_text() == "" and second.banner.isHidden()
    type_over(qtbot, second, "optimizer.lr", "0.05")
    assert not second.isWindowModified(), "what was saved is known"

    # An experiment that the user names takes the place of the one in the session.
    second.close_without_asking()
    third = open_window(Experiment.from_dict(BASE))
    assert third.experiment_panel.experiment() == Experiment.from_dict(BASE)
    assert third.files.file is None


def test_that_the_run_that_was_shown_is_shown_again(qtbot: QtBot, open_window: Open) -> None:
    first = open_window(Experiment.from_dict(BASE))
    first.controls.start_button.click()
    qtbot.waitUntil(lambda: bool(first.shown_run.run_ids), timeout=30_000)
    qtbot.waitUntil(lambda: not first.bridge.active, timeout=30_000)
    (run,) = first.shown_run.run_ids
    first.close_without_asking()

    second = open_window()
    qtbot.waitUntil(lambda: second.shown_run.run_ids == (run,), timeout=30_000)
    qtbot.waitUntil(lambda: "Showing" in second.controls.message.text())
    assert second.banner.isHidden()
    second.close_without_asking()

    # The user has asked for something else.
    third = open_window(Experiment.from_dict(BASE))
    qtbot.wait(300)
    assert not third.shown_run.run_ids and not third.stored_runs.reading


def test_that_a_shown_run_that_is_gone_is_no_problem(qtbot: QtBot, open_window: Open) -> None:
    first = open_window()
    first.close_without_asking()
    file = paths.home() / "session.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["states"]["run"] = "20260101-000000-aaaa"
    file.write_text(json.dumps(content), encoding="utf-8")
    second = open_window()
    qtbot.waitUntil(lambda: "20260101-000000-aaaa" in second.controls.message.text())
    assert second.banner.isHidden() and second.controls.start_button.isEnabled()


@pytest.mark.parametrize("answer", ["Discard", "Cancel"])
def test_that_edits_that_were_given_up_do_not_come_back(
    qtbot: QtBot, open_window: Open, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    first = open_window(Experiment.from_dict(BASE))
    type_over(qtbot, first, "seed", "77")
    button = QMessageBox.StandardButton[answer]
    monkeypatch.setattr(QMessageBox, "warning", lambda *_: button)
    assert first.close() == (answer == "Discard")
    if answer == "Cancel":
        first.close_without_asking()
    second = open_window()
    assert second.experiment_panel.tables()["seed"] == (0 if answer == "Discard" else 77)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("session.json", "{", "is damaged"),
        ("session.json", "[1]", "is damaged"),
        ("session.json", '{"format": 7, "states": {}}', "another version"),
        (
            "session.json",
            json.dumps(
                {
                    "format": 1,
                    "states": {
                        "window": "no geometry",
                        "experiment": {"tables": {"seed": "x"}, "saved": {}, "file": None},
                        "sections": 5,
                        "place": "nowhere",
                        "board": {},
                        "runs": 3,
                        "run": 3,
                        "recent files": None,
                        "folder": 3,
                    },
                }
            ),
            "the experiment cannot be restored",
        ),
        ("preferences.json", '{"font_size": 900, "pace": "x", "threads": 2}', "font_size, pace"),
    ],
)
def test_that_a_damaged_file_is_ignored_with_a_sentence(
    qtbot: QtBot, open_window: Open, name: str, content: str, said: str
) -> None:
    paths.writable_home().joinpath(name).write_text(content, encoding="utf-8")
    window = open_window()
    assert said in window.banner.message.text() and not window.banner.isHidden()
    assert window.experiment_panel.experiment().dataset.name == "digits"
    window.close_without_asking()
    again = open_window()
    assert again.banner.isHidden() or name == "preferences.json"


def test_that_a_window_without_a_session_leaves_nothing(qtbot: QtBot) -> None:
    window = MainWindow(Experiment.from_dict(BASE), "thread")
    qtbot.addWidget(window)
    window.close_without_asking()
    assert not (paths.home() / "session.json").exists()


def test_that_preferences_are_in_force_at_once_and_at_the_next_start(
    qtbot: QtBot, open_window: Open, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = qapp.font().pointSizeF()
    window = open_window(Experiment.from_dict(BASE))
    wanted = Preferences(
        theme="dark",
        font_size=15,
        threads=3,
        pace=10.0,
        snapshot_megabytes=2,
        ask_before_closing=False,
    )
    window.manners.prefer(wanted)
    assert theme.choice() == "dark" and qapp.font().pointSizeF() == 15
    assert window.timeline.steps_per_second == 10.0
    window.timeline.set_pace(0.0)
    assert window.files.load(paths.presets() / "iris-softmax.toml")
    assert window.experiment_panel.experiment().general.threads == 3
    assert not window.isWindowModified()
    # The budget of snapshots reaches the store, in which the run is recorded.
    budgets: list[int] = []
    begin = Store.begin

    def noting(store: Store, *arguments: object, **named: object) -> object:
        budgets.append(store.snapshot_bytes)
        return begin(store, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "begin", noting)
    window.experiment_panel.set_experiment(Experiment.from_dict(BASE))
    window.start()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=30_000)
    assert budgets == [2 * 2**20]
    type_over(qtbot, window, "seed", "5")
    monkeypatch.setattr(QMessageBox, "warning", lambda *_: pytest.fail("nothing was to be asked"))
    assert window.close()
    assert Session(stored=True).preferences == wanted
    again = open_window()
    assert again.timeline.steps_per_second == 10.0
    assert again.experiment_panel.tables()["seed"] == 5, "edits are kept where none was asked about"
    again.manners.prefer(Preferences())
    assert qapp.font().pointSizeF() == size
    appearance.apply(Preferences())


def test_that_recent_files_are_listed_opened_and_forgotten_when_gone(
    open_window: Open, tmp_path: Path
) -> None:
    window = open_window(Experiment.from_dict(BASE))
    files = [tmp_path / f"e&{number}.toml" for number in range(12)]
    for seed, file in enumerate(files):
        file.write_text(Experiment.from_dict(BASE | {"seed": seed}).to_toml(), encoding="utf-8")
        assert window.files.load(file)
    assert window.recent_files.files() == files[:1:-1]
    files[3].unlink()
    entries = {action.statusTip(): action for action in window.recent_files.actions()}
    entries[f"Open {files[3]}"].trigger()
    assert not window.banner.isHidden() and files[3] not in window.recent_files.files()
    entries = {action.statusTip(): action for action in window.recent_files.actions()}
    action = entries[f"Open {files[5]}"]
    assert isinstance(action, QAction) and "e&&5.toml" in action.text()
    action.trigger()
    assert window.experiment_panel.experiment().general.seed == 5
    assert window.recent_files.files()[0] == files[5]
