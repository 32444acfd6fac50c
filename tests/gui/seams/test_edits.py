"""Edits of the experiment are not thrown away without asking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.experiment.presets import files
from optlab.gui.main_window import MainWindow
from optlab.gui.panels.gallery_dialog import GalleryDialog

from .conftest import BASE, in_dialog, in_runs, train

PRESET = next(path for path in files() if path.stem == "iris-softmax")
BUTTONS = QMessageBox.StandardButton


def edit(qtbot: QtBot, window: MainWindow, text: str = "7") -> None:
    editor = window.experiment_panel.general.editors["seed"].editor()
    assert isinstance(editor, QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, text)


def answer(button: QMessageBox.StandardButton) -> list[str]:
    """Press a button of the next message box; returns the list into which its text goes."""
    texts: list[str] = []

    def press() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            texts.append(box.text())
            box.button(button).click()
        else:
            QTimer.singleShot(20, press)

    QTimer.singleShot(0, press)
    return texts


def open_file(window: MainWindow) -> None:
    window.files.load(PRESET)


def open_from_gallery(window: MainWindow) -> None:
    def choose(gallery: GalleryDialog) -> bool:
        gallery.choose(PRESET.stem)
        gallery.open_button.click()
        return True

    in_dialog(GalleryDialog, choose)
    window.secondary_windows.show_gallery()


def open_stored(window: MainWindow) -> None:
    in_runs(window, "open_experiment")


@pytest.mark.parametrize("replace", [open_file, open_from_gallery, open_stored])
def test_that_edits_are_kept_discarded_or_saved_as_the_user_says(
    qtbot: QtBot,
    open_window: Callable[..., MainWindow],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    replace: Callable[[MainWindow], None],
) -> None:
    window = open_window(shown=False)
    if replace is open_stored:
        train(qtbot, window)
        window.experiment_panel.set_experiment(Experiment.from_dict(BASE | {"seed": 3}))
    edit(qtbot, window)
    edited = window.experiment_panel.experiment()

    texts = answer(BUTTONS.Cancel)
    replace(window)
    assert len(texts) == 1 and "has been edited" in texts[0]
    assert window.experiment_panel.experiment() == edited and window.isWindowModified()

    path = tmp_path / "mine.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    texts = answer(BUTTONS.Save)
    replace(window)
    assert len(texts) == 1 and Experiment.load(path) == edited
    assert window.experiment_panel.experiment() != edited and not window.isWindowModified()

    edit(qtbot, window)
    texts = answer(BUTTONS.Discard)
    replace(window)
    assert len(texts) == 1
    assert window.experiment_panel.experiment() != edited and not window.isWindowModified()


def test_that_cancelling_the_file_dialog_keeps_the_edits(
    qtbot: QtBot, open_window: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(shown=False)
    edit(qtbot, window)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    texts = answer(BUTTONS.Save)
    assert not window.files.load(PRESET)
    assert len(texts) == 1 and window.experiment_panel.experiment().general.seed == 7


def test_that_an_unedited_experiment_is_replaced_without_asking(
    qtbot: QtBot, open_window: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexpected(*_: Any) -> None:
        raise AssertionError("nothing was edited")

    monkeypatch.setattr(QMessageBox, "warning", unexpected)
    window = open_window(shown=False)
    before = str(window.experiment_panel.experiment().general.seed)
    edit(qtbot, window, "7")
    assert window.isWindowModified()
    edit(qtbot, window, before)
    assert not window.isWindowModified(), "the edit was undone"
    for path in files():
        assert window.files.load(path) and not window.isWindowModified()
        assert window.windowTitle() == f"{path.name}[*] – OptLab"


def test_that_text_that_is_no_value_counts_as_an_edit(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(shown=False)
    edit(qtbot, window, "seven")
    assert window.isWindowModified()
    texts = answer(BUTTONS.Cancel)
    assert not window.files.load(PRESET) and len(texts) == 1


def test_that_a_file_that_cannot_be_read_is_reported_without_asking(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
) -> None:
    window = open_window(shown=False)
    edit(qtbot, window)
    assert not window.files.load(tmp_path / "missing.toml")
    assert not window.banner.isHidden()


@pytest.mark.parametrize("button", [BUTTONS.Cancel, BUTTONS.Save, BUTTONS.Discard])
def test_that_closing_the_window_asks_what_to_do_with_edits(
    qtbot: QtBot,
    open_window: Callable[..., MainWindow],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    button: QMessageBox.StandardButton,
) -> None:
    window = open_window()
    edit(qtbot, window)
    edited = window.experiment_panel.experiment()
    path = tmp_path / "mine.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    texts = answer(button)
    closed = window.close()
    assert len(texts) == 1 and "before closing" in texts[0]
    assert closed == (button != BUTTONS.Cancel) and window.isVisible() != closed
    assert path.exists() == (button == BUTTONS.Save)
    if path.exists():
        assert Experiment.load(path) == edited


def test_that_quit_asks_and_a_request_from_outside_does_not(
    qtbot: QtBot, open_window: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window()
    edit(qtbot, window)
    quit_action = next(
        action
        for menu in window.menuBar().actions()
        for action in menu.menu().actions()
        if action.text().replace("&", "").startswith("Quit")
    )
    texts = answer(BUTTONS.Cancel)
    quit_action.trigger()
    assert len(texts) == 1 and window.isVisible()

    def unexpected(*_: Any) -> None:
        raise AssertionError("SIGTERM does not wait for an answer")

    monkeypatch.setattr(QMessageBox, "warning", unexpected)
    window.close_without_asking()
    assert not window.isVisible()
