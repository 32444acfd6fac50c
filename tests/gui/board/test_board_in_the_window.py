"""The board in the main window: its tiles, layouts, menus and what is remembered of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from optlab.core import paths
from optlab.core.errors import InvalidInput
from optlab.gui.board.board_layout import SHIPPED, BoardLayout, load, own_names, shipped_folder
from optlab.gui.board.series_picker import SeriesTile
from optlab.gui.main_window import MainWindow
from optlab.gui.plots.loss_plot import LossPlot
from optlab.training.events import Series, SeriesBlock

pytestmark = pytest.mark.qt_log_ignore(
    "does not support (raise|grabbing the keyboard)", extend=True
)


@pytest.fixture
def window(qtbot: QtBot) -> MainWindow:
    window = MainWindow(None, "thread")
    window._after_first_paint = lambda: None  # type: ignore[method-assign]
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.show()
    return window


def action(menu: QMenu, text: str) -> QAction:
    (found,) = [one for one in menu.findChildren(QAction) if one.text() == text]
    return found


def block(first: int, last: int) -> SeriesBlock:
    steps = np.arange(first, last)
    return SeriesBlock(
        last,
        0.1,
        {
            "batch_loss": Series(steps, 1.0 / (1.0 + steps[:, None])),
            "activations.dead": Series(
                steps, np.stack([steps, 2 * steps], axis=1)[:, None, :], ("layer 1", "layer 2")
            ),
        },
    )


def test_that_every_layout_that_ships_shows_tiles_that_there_are(window: MainWindow) -> None:
    assert {path.stem for path in shipped_folder().glob("*.toml")} == set(SHIPPED)
    board = window.board.board
    for number, name in enumerate(SHIPPED, 1):
        layout = load(shipped_folder() / f"{name}.toml")
        assert layout.title == name.capitalize() and layout.text
        assert set(layout.tiles) <= set(board.kinds)
        shown = action(window.layouts_menu, layout.title)
        assert shown.shortcut().toString() == f"Ctrl+{number}"
        shown.trigger()
        assert shown.isChecked() and (not layout.tiles or set(board.keys) == set(layout.tiles))
    assert not window.banner.isVisible()


def test_that_an_instrument_is_a_tile_of_its_own_and_goes_back(
    window: MainWindow, qtbot: QtBot
) -> None:
    name, card = next(iter(window.instruments.cards.items()))
    window.board.show_layout("curvature")
    assert window.instruments.isVisible() and window.instruments.isAncestorOf(card)
    card.tile_button.click()
    tile = window.board.board.tile(f"instrument.{name}")
    assert tile.isAncestorOf(card) and card.isVisible() and not card.tile_button.isVisible()
    # It is switched, shows what it costs and its plots there as well as among the others.
    with qtbot.waitSignal(window.instruments.switched):
        qtbot.mouseClick(card.box, Qt.MouseButton.LeftButton)
    assert card.tabs.isVisible() and card.cost.isVisible()
    tile.close_button.click()
    assert window.instruments.isAncestorOf(card) and card.on
    QApplication.processEvents()
    assert card.isVisible() and card.tabs.height() == 290


def test_that_the_diagnosis_is_a_tile_or_above_the_timeline(window: MainWindow) -> None:
    panel = window.diagnosis_panel
    action(window.tiles_menu, "Diagnosis").trigger()
    assert window.board.board.isAncestorOf(panel)
    action(window.tiles_menu, "Diagnosis").trigger()
    assert not window.board.board.isAncestorOf(panel)
    assert panel.parentWidget() is window.timeline.parentWidget()


def test_that_any_series_is_picked_from_a_list_that_is_searched(
    window: MainWindow, qtbot: QtBot
) -> None:
    window.plots.add(block(1, 200))
    action(window.tiles_menu, "&Series of your choice…").trigger()
    tile = window.board.board.tile("series-1")
    series = tile.plot
    assert isinstance(series, SeriesTile)
    listed = series.picker.list
    # Its list opens by itself, below the button.
    qtbot.waitUntil(lambda: listed.count() > 0)
    button = series.pick_button
    assert series.picker.y() >= button.mapToGlobal(button.rect().topLeft()).y() > 100
    assert [listed.item(row).text() for row in range(listed.count())] == [
        "Activations by layer: dead · layer 1",
        "Activations by layer: dead · layer 2",
        "Training loss (batch)",
    ]
    assert listed.item(2).toolTip() == "batch_loss"
    qtbot.keyClicks(series.picker.search, "layer 2")
    assert [listed.item(row).isHidden() for row in range(3)] == [True, False, True]
    listed.item(1).setCheckState(Qt.CheckState.Checked)
    listed.item(2).setCheckState(Qt.CheckState.Checked)
    series.picker.hide()
    words = "Activations by layer: dead · layer 2, Training loss (batch)"
    assert tile.title.text() == words
    # What was measured before it was picked, and what is measured from now on.
    window.plots.add(block(200, 300))
    samples = series.plot.curve("activations.dead · layer 2:0").samples.samples(0, 1e9)
    assert samples.steps.tolist() == list(range(1, 300))
    assert np.array_equal(samples.values, 2 * samples.steps)
    assert series.plot.curve("batch_loss:0").samples.last == 299
    series.log_button.click()
    assert series.plot.log_y


def test_that_a_board_is_saved_under_a_name_restored_and_deleted(window: MainWindow) -> None:
    board = window.board.board
    window.plots.add(block(1, 20))
    window.board.show_layout("lecture")
    window.board.add_series_tile()
    series = board.tile("series-1").plot
    assert isinstance(series, SeriesTile)
    series.set_names(["batch_loss"])
    series.log_button.click()
    keys = set(board.keys)
    path = window.board.save_layout("My lecture 2")
    assert path == paths.home() / "layouts" / "my-lecture-2.toml" and own_names() == [
        "my-lecture-2"
    ]
    state = json.loads(json.dumps(window.board.state()))

    window.board.show_layout("training")
    assert "series-1" not in board.keys
    action(window.layouts_menu, "my-lecture-2").trigger()
    assert set(board.keys) == keys
    restored = board.tile("series-1").plot
    assert isinstance(restored, SeriesTile)
    assert restored.plot.names == ("batch_loss",) and restored.plot.log_y
    assert restored.plot.curve("batch_loss:0").samples.last == 19

    window.board.show_layout("compare")
    window.board.restore(state)
    assert set(board.keys) == keys
    window.board.delete_layout("my-lecture-2")
    assert own_names() == []
    for refused in ("training", "…"):
        with pytest.raises(InvalidInput, match="name"):
            window.board.save_layout(refused)
    with pytest.raises(InvalidInput, match="no layout named"):
        window.board.delete_layout("my-lecture-2")


UNSOUND = {
    'title = "Odd"\nrows = [{columns = [{tiles = ["loss", "ghost"]}]}]': "“ghost”",
    'title = "Odd"\nrows = [{columns = []}]': "an empty list",
    'title = "Odd"\nrows = [{columns = [{tiles = ["loss"], width = -1}]}]': "no share",
    "rows = []": "lacks 'title'",
    "rows = [": "cannot be read",
}


def test_that_a_layout_that_is_not_sound_is_refused_in_words(window: MainWindow) -> None:
    path = paths.home() / "layouts" / "odd.toml"
    path.parent.mkdir(parents=True)
    at_first = BoardLayout("", rows=window.plots.rows_at_first()).tiles
    for text, sentence in UNSOUND.items():
        window.board.show_layout("training")
        path.write_text(text, encoding="utf-8")
        window.board.show_layout("odd")
        assert sentence in window.banner.message.text()
        # What it names and there is, is shown; without that, what was shown stays.
        assert window.board.board.keys == (("loss",) if "ghost" in text else at_first)


def test_that_a_tile_that_is_opened_during_a_run_has_all_of_it(
    window: MainWindow, qtbot: QtBot
) -> None:
    """Of a run that is longer than what is kept, the rest is read from where it is stored."""
    plots, stored = window.plots, block(1, 5000)
    read: list[str] = []

    def source(name: str, row: int) -> tuple[np.ndarray, np.ndarray] | None:
        read.append(name)
        series = stored.series.get(name)
        return None if series is None else (series.steps, series.values[:, row])

    plots.set_value_source(source)
    for first in range(1, 4900, 100):
        plots.add(block(first, first + 100))
    plots.values._whole = False
    while len(plots.values._blocks) > 3:
        plots.values._blocks.popleft()
    window.board.add_series_tile()
    tile = window.board.board.tile("series-1").plot
    assert isinstance(tile, SeriesTile)
    tile.set_names(["batch_loss"])
    plots.add(block(4901, 5100))
    qtbot.waitUntil(lambda: tile.plot.curve("batch_loss:0").samples.last == 5099, timeout=10_000)
    samples = tile.plot.curve("batch_loss:0").samples.samples(0, 1e9)
    assert samples.steps.tolist() == list(range(1, 5100)) and "batch_loss" in read
    assert plots.plot(LossPlot).curve("batch_loss:0").samples.last == 5099
