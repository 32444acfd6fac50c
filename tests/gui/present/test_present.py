"""Present: scenes in a window of their own, by the keyboard, fed by the run of the main window."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QFontMetrics, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QToolButton
from pytestqt.qtbot import QtBot

import optlab
from optlab.core import paths
from optlab.gui import theme
from optlab.gui.main_window import MainWindow
from optlab.gui.manners.session import Session
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.path_plot import PathPlot
from optlab.gui.plots.tiles import tile_key, tile_plots
from optlab.gui.present.prediction_layer import KEY
from optlab.gui.present.present_window import PresentWindow
from optlab.gui.present.presenter import Presenter
from optlab.gui.present.projector import CONTRAST, SCALE, contrast, projector_theme
from optlab.gui.present.race_player import RacePlayer
from optlab.gui.present.run_player import RunPlayer
from optlab.store import Store
from optlab.tasks.scenes import shipped
from optlab.tasks.scenes.prediction import COLUMNS, Sketch, difference
from optlab.tasks.scenes.reading import named
from optlab.tasks.scenes.scene import RunScene

RUN = """
title = "A run"
text = "What is seen."
say = "What to say."
order = 1
[run]
base = "iris-softmax"
[run.set]
budget = { steps = STEPS }
measures = { evaluate_every = 5 }
[show]
tiles = ["loss", "path"]
curves = ["train_loss"]
y = "log"
[predict]
prompt = "How far?"
curve = "train_loss"
low = 0.1
high = 2.0
"""


def key(window: PresentWindow, which: Qt.Key) -> None:
    # The off-screen platform has no window manager to keep a window active.
    window.activateWindow()
    QTest.keyClick(window, which)


@pytest.fixture
def write_scenes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Let there be these scenes alone: name → document."""
    shipped_scenes = tmp_path / "shipped"
    shipped_scenes.mkdir()
    monkeypatch.setattr(paths, "scenes", lambda: shipped_scenes)

    def write(**documents: str) -> None:
        for name, document in documents.items():
            (shipped_scenes / f"{name}.toml").write_text(document, encoding="utf-8")

    return write


@pytest.fixture
def main_window(qtbot: QtBot) -> MainWindow:
    window = MainWindow(None, "thread")
    qtbot.addWidget(window)
    window.show()
    return window


def opened(window: MainWindow, name: str = "") -> tuple[Presenter, PresentWindow]:
    window.secondary_windows.present(name)
    presenter = window.secondary_windows.presenter
    assert presenter is not None and presenter.window is not None
    presenter.window.setFocus()
    QApplication.processEvents()
    return presenter, presenter.window


def test_that_a_lecture_is_held_by_keys_alone(
    qtbot: QtBot, main_window: MainWindow, write_scenes: Callable[..., None]
) -> None:
    race = 'title = "Race"\norder = 2\n[race]\nsurface = {name = "saddle"}\nsteps = 4\n'
    race += (
        '[[race.methods]]\nstart = [0.5, 0.2]\noptimizer = {name = "sgd"}\n[show]\nseconds = 0.2'
    )
    write_scenes(
        run=RUN.replace("STEPS", "40"), race=race, broken='title = "Broken"\norder = 3\n[run]\n'
    )
    before = main_window.experiment_panel.experiment().to_toml()
    main_window.experiment_panel.change({"optimizer.lr": 0.0123})
    presenter, window = opened(main_window)
    assert window.title.text() == "A run" and "How far?" in window.caption.text()
    player = window.player
    assert isinstance(player, RunPlayer) and player.layer is not None
    plot = player.plots[0]
    assert isinstance(plot, CurvePlot)
    qtbot.waitUntil(plot.canvas.isVisible)
    for _ in range(COLUMNS):
        QTest.keyClick(player.layer, Qt.Key.Key_Right)
    key(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: player.state == "ended", timeout=60_000)
    assert main_window.experiment_panel.experiment(check=False).dataset.name == "iris"
    with Store.open_readonly() as store:
        (record,) = store.runs()
    assert (record.status, record.steps) == ("finished", 40)
    # What was drawn is still there, and the run beside it; the words say the two.
    drawn = plot.curve(KEY).samples.samples(0, 10**6)
    assert np.unique(drawn.values).size == 1 and 0.1 < drawn.values[0] < 2.0
    measured = plot.curve("train_loss:0").samples.samples(0, 10**6)
    assert measured.steps[-1] == 40
    assert "At step 40 you drew" in window.caption.text()
    assert "What is seen." in window.caption.text()
    key(window, Qt.Key.Key_PageDown)
    racer = window.player
    assert isinstance(racer, RacePlayer) and window.place.text() == "2 / 3"
    key(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: racer.state == "ended", timeout=60_000)
    assert racer.step == 4
    key(window, Qt.Key.Key_PageDown)
    assert "run.base is missing" in window.caption.text()
    for _ in range(5):
        key(window, Qt.Key.Key_PageUp)
    assert presenter.window is window and window.title.text() == record.title
    key(window, Qt.Key.Key_Escape)
    assert presenter.window is None
    # The experiment that was being edited is back, and still marked as edited.
    restored = main_window.experiment_panel.experiment()
    assert restored.optimizer.lr == 0.0123 and restored.to_toml() != before
    assert main_window.experiment_panel.edited


def test_that_closing_during_a_presentation_keeps_the_experiment_of_the_editor(
    qtbot: QtBot, write_scenes: Callable[..., None]
) -> None:
    """Not that of the scene, which the editor holds meanwhile."""
    write_scenes(run=RUN.replace("STEPS", "1000000").partition("[predict]")[0])
    first = MainWindow(None, "thread", session=Session(stored=True))
    qtbot.addWidget(first)
    first.show()
    first.experiment_panel.change({"optimizer.lr": 0.0123})
    tables, saved = first.experiment_panel.tables(), first.experiment_panel.saved()
    presenter, _window = opened(first)
    # No key: the doors of the first start are in front.
    presenter.toggle()
    qtbot.waitUntil(lambda: first.bridge.active, timeout=60_000)
    assert first.experiment_panel.tables() != tables
    first.close_without_asking()
    again = MainWindow(None, "thread", session=Session(stored=True))
    qtbot.addWidget(again)
    again.show()
    assert (again.experiment_panel.tables(), again.experiment_panel.saved()) == (tables, saved)
    again.close_without_asking()


def test_that_a_run_in_progress_is_shown_from_its_first_step_and_goes_on(
    qtbot: QtBot, main_window: MainWindow, write_scenes: Callable[..., None]
) -> None:
    write_scenes(run=RUN.replace("STEPS", "5"))
    main_window.experiment_panel.change({"budget.steps": 100_000})
    main_window.timeline.pace.setCurrentIndex(1)
    main_window.start()
    qtbot.waitUntil(lambda: len(main_window.bridge.run_ids) > 0, timeout=60_000)
    seen: list[int] = []
    from optlab.training.events import SeriesBlock

    main_window.bridge.on(SeriesBlock, lambda block: seen.append(block.step))
    qtbot.waitUntil(lambda: bool(seen) and seen[-1] > 30, timeout=60_000)
    presenter, window = opened(main_window)
    player = window.player
    assert isinstance(player, RunPlayer)
    plot = player.plots[0]
    assert isinstance(plot, CurvePlot)
    count = len(seen)
    qtbot.waitUntil(lambda: len(seen) > count + 3, timeout=60_000)
    batch = plot.curve("batch_loss:0").samples
    qtbot.waitUntil(lambda: batch is not plot.curve("batch_loss:0").samples or len(batch) > 10)
    steps = plot.curve("batch_loss:0").samples.samples(0, 10**6).steps
    assert steps[0] == 1 and (np.diff(steps) == 1).all(), "nothing of the run is missing"
    key(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: main_window.controls.state == "paused", timeout=60_000)
    key(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: main_window.controls.state == "running", timeout=60_000)
    # A scene does not take the place of it without a second press.
    key(window, Qt.Key.Key_PageDown)
    key(window, Qt.Key.Key_Space)
    assert main_window.bridge.active and "once more" in window.status.text()
    key(window, Qt.Key.Key_Escape)
    assert presenter.window is None and main_window.bridge.active
    main_window.bridge.end()
    qtbot.waitUntil(lambda: not main_window.bridge.active, timeout=60_000)


def test_that_the_mouse_draws_where_it_is(
    qtbot: QtBot, main_window: MainWindow, write_scenes: Callable[..., None]
) -> None:
    write_scenes(run=RUN.replace("STEPS", "1000").replace('y = "log"', 'y = "linear"'))
    _, window = opened(main_window)
    player = window.player
    assert isinstance(player, RunPlayer) and player.layer is not None
    plot = player.plots[0]
    assert isinstance(plot, CurvePlot)
    qtbot.waitUntil(plot.canvas.isVisible)
    plot.refresh()
    (first, last), (low, high) = plot.view_range()
    assert first <= 0 and last >= 1000 and low <= 0.1 and high >= 2.0
    area = plot.canvas.view.sceneBoundingRect()

    def at(share_x: float, share_y: float) -> QPointF:
        x = area.left() + share_x * area.width()
        y = area.bottom() - share_y * area.height()
        return QPointF(plot.canvas.mapFromScene(QPointF(x, y)))

    layer, left = player.layer, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    for kind, position in (
        (QEvent.Type.MouseButtonPress, at(0.2, 0.8)),
        (QEvent.Type.MouseMove, at(0.6, 0.4)),
        (QEvent.Type.MouseButtonRelease, at(0.6, 0.4)),
    ):
        QApplication.sendEvent(layer, QMouseEvent(kind, position, position, left, left, none))
    drawn = plot.curve(KEY).samples.samples(0, 10**6)
    expected = np.interp(
        drawn.steps, [first + 0.2 * (last - first), first + 0.6 * (last - first)], [0.8, 0.4]
    )
    assert drawn.steps[0] == pytest.approx(first + 0.2 * (last - first), abs=0.02 * (last - first))
    assert drawn.values == pytest.approx(low + expected * (high - low), abs=0.04 * (high - low))
    QTest.keyClick(layer, Qt.Key.Key_Backspace)
    assert not layer.sketch.drawn and not len(plot.curve(KEY).samples)


def test_that_everything_of_a_scene_is_in_the_window_and_large(
    qtbot: QtBot, main_window: MainWindow
) -> None:
    presenter, window = opened(main_window, "figure-8-1-gradient-norm")
    window.showNormal()
    usual = QFontMetrics(QApplication.font()).height()
    names = [scene.name for scene in shipped.scenes()]
    longest = max(names, key=lambda name: len(named(name, check=False).text))
    for name in (longest, "figure-8-1-gradient-norm", "figure-4-1-downhill", "first-run"):
        presenter.show_place(names.index(name))
        for size in ((1280, 720), (1920, 1080)):
            window.resize(*size)
            for _ in range(3):
                QApplication.processEvents()
            assert (window.width(), window.height()) == size, "nothing makes the window grow"
            for label in (window.title, window.caption, window.place, window.hints):
                if label.isVisible():
                    area = label.rect().translated(label.mapTo(window, QPoint(0, 0)))
                    assert window.rect().contains(area), (name, label.objectName())
                    needed = label.heightForWidth(label.width()) if label.wordWrap() else 0
                    assert label.height() >= needed, (name, label.objectName())
            assert window.player is not None
            assert all(tile.height() > size[1] * 0.45 for tile in window.player.tiles)
    assert window.caption.fontMetrics().height() > 1.7 * usual
    assert window.title.fontMetrics().height() > 2.2 * usual


def test_that_every_plot_of_the_panel_can_be_presented(main_window: MainWindow) -> None:
    from optlab.tasks.scenes.scene import Show

    for kind in tile_plots():
        player = RunPlayer(Show(tiles=(tile_key(kind),)), None, 10, lambda _what: None)
        player.set_colors(projector_theme(dark=True).plots)
        assert type(player.plots[0]) is kind
        player.deleteLater()
    player = RunPlayer(Show(tiles=("losss",)), None, 10, lambda _what: None)
    assert "did you mean loss?" in player.tiles[0].findChildren(QLabel)[-1].text()
    player.deleteLater()


def test_that_the_shipped_scenes_name_plots_and_curves_that_there_are() -> None:
    from optlab.gui.plots.run_series_plot import RunSeriesPlot

    kinds = {tile_key(kind): kind for kind in tile_plots()}
    for listed in shipped.scenes():
        scene = named(listed.name, check=False)
        if not isinstance(scene.content, RunScene):
            continue
        assert set(scene.show.tiles) <= set(kinds), listed.name
        plots = [kinds[name]() for name in scene.show.tiles]
        series = frozenset().union(
            *(plot.series for plot in plots if isinstance(plot, RunSeriesPlot))
        )
        assert set(scene.show.curves) <= series, listed.name
        if scene.predict is not None:
            assert scene.predict.curve in series and scene.predict.prompt, listed.name


@pytest.mark.parametrize("dark", [False, True])
def test_that_the_colors_of_a_projector_have_contrast(dark: bool) -> None:
    colors = projector_theme(dark=dark)
    assert contrast(colors.text, colors.window) > 20
    assert contrast(colors.muted, colors.window) > 7
    for color in colors.plots.palette:
        assert contrast(color, colors.plots.background) >= CONTRAST
    assert len(set(colors.plots.palette)) == len(colors.plots.palette)
    assert colors.plots.scale == SCALE == 2.0
    # WCAG's own examples: white on black, and the gray that has exactly 4.5.
    assert contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


def test_that_every_line_and_mark_of_a_plot_follows_the_scale_of_its_colors() -> None:
    folder = Path(optlab.__file__).parent / "gui"
    wrong = []
    for path in [*(folder / "plots").glob("*.py"), *folder.glob("*/*_plot.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            widths = [part.value for part in node.keywords if part.arg == "width"]
            if name in ("mkPen", "QPen"):
                widths += node.args[1:2]
                # Pens of pyqtgraph are cosmetic: their widths are in pixels of the device.
                follows = "line" if name == "mkPen" else "scale|width"
                fixed = [one for one in widths if not re.search(follows, ast.unparse(one))]
                if fixed or (name == "mkPen" and node.args and not node.keywords):
                    wrong.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    wrong = [one for one in wrong if "mkPen(None)" not in one and "setPen(None)" not in one]
    assert not wrong, (
        "multiply these widths by colors.scale, cosmetic ones by colors.line:\n" + "\n".join(wrong)
    )


def test_that_a_sketch_joins_the_points_of_a_stroke() -> None:
    sketch = Sketch()
    sketch.draw(0.0, 0.0)
    assert not sketch.drawn
    sketch.draw(1.0, 1.0)
    assert sketch.heights == pytest.approx(np.linspace(0.0, 1.0, COLUMNS))
    sketch.lift()
    sketch.draw(0.5, 0.0)
    assert np.isfinite(sketch.heights).all() and sketch.heights[COLUMNS // 2] == 0.0
    assert sketch.heights[COLUMNS // 2 + 1] > 0.5, "another stroke is not connected"
    steps, values = sketch.curve(1.0, 100.0, 0.01, 100.0, log_x=True, log_y=True)
    assert steps[0] == pytest.approx(100 ** (0.5 / COLUMNS))
    assert values[-1] == pytest.approx(100.0) and values[0] == pytest.approx(0.01)
    sketch.erase(3)
    assert np.isfinite(sketch.heights).sum() == 3


@pytest.mark.parametrize(
    ("drawn", "measured", "log", "words"),
    [
        ([4.0, 4.0], [1.0, 1.0], True, "At step 10 you drew 4, and it was 1: 4 times as much."),
        ([1.0, 1.0], [1.0, 5.0], True, "and it was 5: 5 times less."),
        ([50.0, 20.0], [90.0, 90.0], False, "you drew 20, and it was 90: 70 too low."),
        ([95.0, 90.0], [20.0, 90.0], False, "Farthest apart at step 0: 95 drawn, 20 measured."),
        ([1.0, 3e-7], [1.0, 3e8], True, "you drew 3·10⁻⁷, and it was 3·10⁸: 1·10¹⁵ times less."),
        ([1.0, 1.0], [1.0, 1.01], True, "nearly the same."),
        ([1.0, 1.0], [np.nan, np.nan], True, "no value to compare with"),
    ],
)
def test_that_the_difference_is_said(
    drawn: list[float], measured: list[float], log: bool, words: str
) -> None:
    at = np.array([0.0, 10.0])
    assert words in difference((at, np.array(drawn)), (at, np.array(measured)), log=log)


def test_that_entries_have_their_places_when_the_plot_is_shown_later(qtbot: QtBot) -> None:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(500, 300)
    plot.grab()  # laid out before it is shown
    plot.legend.entry("batch_loss:0").setVisible(False)
    plot.show()
    qtbot.waitExposed(plot)
    QApplication.processEvents()
    first, second = (plot.legend.entry(f"{name}_loss:0") for name in ("train", "validation"))
    assert first.geometry().left() == 0, "a hidden entry has no place"
    assert second.geometry().left() > first.geometry().right() - 2
    assert first.isVisible() and second.visibleRegion().boundingRect() == second.rect()


@pytest.mark.parametrize("kept", [True, False])
def test_that_a_stored_run_has_its_path_or_says_why_not(
    qtbot: QtBot, main_window: MainWindow, kept: bool
) -> None:
    main_window.experiment_panel.change({"budget.steps": 20})
    main_window.start()
    # The run may end between two looks at the window, so that waiting for its start may miss it.
    qtbot.waitUntil(lambda: len(main_window.shown_run.run_ids) == 1, timeout=60_000)
    qtbot.waitUntil(lambda: not main_window.bridge.active, timeout=60_000)
    (file,) = paths.home().rglob("weights.path")
    if not kept:
        file.unlink()
    _presenter, window = opened(main_window)
    player = window.player
    assert isinstance(player, RunPlayer)
    (path,) = [one for one in player.plots if isinstance(one, PathPlot)]
    if kept:
        qtbot.waitUntil(lambda: path.labels[1].toPlainText() == "step 20", timeout=60_000)
    else:
        qtbot.waitUntil(lambda: path.message.text().startswith("Not stored"), timeout=60_000)
    key(window, Qt.Key.Key_Escape)


def test_that_the_boxes_of_a_dark_projector_are_dark(
    qtbot: QtBot, main_window: MainWindow, qapp: QApplication
) -> None:
    theme.follow(qapp)
    theme.choose("light")
    try:
        _presenter, window = opened(main_window, "memorizing")
        assert window.player is not None
        boxes = window.player.findChildren(QComboBox)
        menus = [one for one in window.player.findChildren(QToolButton) if one.text() == "⋯"]
        assert boxes and menus
        for dark in (True, False, True):
            window.dark = dark
            window.apply_theme()
            for box in boxes:
                qtbot.waitUntil(box.isVisible)
                ground = box.grab().toImage().pixelColor(6, box.height() // 2)
                assert (ground.lightness() < 80) == dark, ground.name()
            for menu in menus:
                picture = window.grab(QRect(menu.mapTo(window, QPoint()), menu.size())).toImage()
                shades = {
                    picture.pixelColor(x, y).lightness()
                    for x in range(picture.width())
                    for y in range(picture.height())
                }
                assert max(shades) - min(shades) > 150, "its dots are seen"
        key(window, Qt.Key.Key_Escape)
    finally:
        theme.notifier().following = None
        theme.choose("system")
        qapp.setStyleSheet("")
