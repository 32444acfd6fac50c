"""Palette, shortcuts and help: everything is found by the keyboard."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QDialog
from pytestqt.qtbot import QtBot

from optlab.core import registry
from optlab.experiment import Experiment
from optlab.gui.item_models.catalogue_model import KIND, NAME
from optlab.gui.main_window import MainWindow
from optlab.gui.manners.fuzzy import score
from optlab.gui.manners.palette import CommandPalette, actions_of
from optlab.gui.manners.shortcuts import ShortcutsDialog, shortcuts
from optlab.gui.panels.catalogue_dialog import CatalogueDialog
from optlab.gui.panels.help_page import HelpPage

from .conftest import BASE, Open


def action(window: MainWindow, name: str) -> QAction:
    found = window.findChild(QAction, name)
    assert found is not None, name
    return found


def palette(window: MainWindow) -> CommandPalette:
    action(window, "actionPalette").trigger()
    found = [one for one in window.findChildren(CommandPalette) if one.isVisible()]
    assert len(found) == 1
    return found[0]


def choose(qtbot: QtBot, window: MainWindow, typed: str) -> str:
    """Type into the palette and press Return; what was chosen."""
    dialog = palette(window)
    qtbot.keyClicks(dialog.line, typed)
    chosen = dialog.shown()[0]
    qtbot.keyClick(dialog.line, Qt.Key.Key_Return)
    assert not dialog.isVisible()
    return chosen


def test_that_letters_in_order_find_a_text_and_better_fits_come_first() -> None:
    def ranked(typed: str, *texts: str) -> list[str]:
        scored = {text: score(typed, text) for text in texts}
        found = [text for text in texts if scored[text] is not None]
        return sorted(found, key=lambda text: -(scored[text] or 0.0))

    assert ranked("adam", "AdamW", "Adam", "Nadam", "Momentum") == ["Adam", "AdamW", "Nadam"]
    assert ranked("lrs", "learning-rate schedule", "last") == ["learning-rate schedule"]
    assert ranked("exp op", "Open experiment", "Export", "Open") == ["Open experiment"]
    assert ranked("", "b", "a") == ["b", "a"]
    assert score("opn", "Open experiment") is not None
    assert score("zz", "Open experiment") is None


def test_that_the_palette_runs_picks_opens_and_explains(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(Experiment.from_dict(BASE), shown=True)
    window.start()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=60_000)

    assert choose(qtbot, window, "use adam opt").startswith("Use Adam (optimizer)")
    assert window.experiment_panel.chosen("optimizer") == "adam"
    window.manners.edits.undo()
    assert choose(qtbot, window, "help rmspr opt").startswith("Help: RMSProp")
    (page,) = window.findChildren(HelpPage)
    page.close()
    assert choose(qtbot, window, "dark col") == "View: Dark colors"
    assert "softmax" in choose(qtbot, window, "iris-softmax")
    assert window.files.file is not None and window.files.file.name == "iris-softmax.toml"
    # Stored runs come when they have been read.
    dialog = palette(window)
    qtbot.keyClicks(dialog.line, "show run mlp")
    qtbot.waitUntil(lambda: any("Show run" in text for text in dialog.shown()), timeout=10_000)
    qtbot.keyClick(dialog.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not window.stored_runs.reading, timeout=10_000)
    assert "stored run" in window.plots.caption.state.text()
    # Arrows move, Escape leaves everything as it is.
    dialog = palette(window)
    qtbot.keyClick(dialog.line, Qt.Key.Key_Down)
    assert dialog.list.currentIndex().row() == 1
    qtbot.keyClicks(dialog.line, "qqqq")
    assert dialog.shown() == [] and not dialog.nothing.isHidden()
    qtbot.keyClick(dialog.line, Qt.Key.Key_Return)
    assert dialog.isVisible()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_that_actions_have_names_tips_and_shortcuts_of_their_own(window: MainWindow) -> None:
    actions = [one for _, one in actions_of(window.menuBar())]
    names = [one.objectName() for one in actions]
    assert all(names) and len(set(names)) == len(names), sorted(names)
    assert all(one.statusTip() for one in actions)
    keys = [shortcut.toString() for one in actions for shortcut in one.shortcuts()]
    assert len(set(keys)) == len(keys), sorted(keys)
    action(window, "actionShortcuts").trigger()
    (overview,) = window.findChildren(ShortcutsDialog)
    shown = overview.text.toPlainText()
    assert all(way in shown and key in shown for key, way in shortcuts(window.menuBar()))
    assert ("Ctrl+Return", "Run: Start") in shortcuts(window.menuBar())
    overview.reject()


def test_that_f1_explains_what_has_the_focus(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(Experiment.from_dict(BASE), shown=True)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    panel = window.experiment_panel

    def explained() -> tuple[str, str]:
        qtbot.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_F1)
        (dialog,) = [
            d for d in QApplication.topLevelWidgets() if isinstance(d, QDialog) and d.isVisible()
        ]
        title = dialog.windowTitle()
        field = dialog.text._field if isinstance(dialog, HelpPage) else ""
        dialog.close()
        QApplication.sendPostedEvents(None, 52)  # the deferred deletion
        window.activateWindow()
        qtbot.waitUntil(window.isActiveWindow)
        return title, field

    panel.strip.row("clipping.threshold").line.setFocus()
    assert explained() == ("By the norm – clipping", "threshold") or explained()[1] == "threshold"
    panel.components["optimizer"].picker.setFocus()
    assert explained() == ("Momentum – optimizer", "")
    panel.form.set_opened({"budget"})
    panel.form.editors()["budget.steps"].editor().setFocus()
    assert explained() == ("Catalogue", ""), "these fields belong to no component"


def test_that_the_catalogue_finds_words_of_the_pages_and_marks_them(qtbot: QtBot) -> None:
    dialog = CatalogueDialog()
    qtbot.addWidget(dialog)
    component = registry.get("optimizer", "sophia")
    help_text = component.field("gamma").help
    assert "smaller values clip" in help_text
    dialog.search.setText("smaller values clip more steps")
    dialog._search()
    found = [(i.data(KIND), i.data(NAME)) for i in dialog.entries.entries()]
    assert ("optimizer", "sophia") in found and len(found) < 5
    assert len(dialog.page.extraSelections()) >= 5
    dialog.search.setText("")
    dialog._search()
    assert dialog.page.extraSelections() == []
