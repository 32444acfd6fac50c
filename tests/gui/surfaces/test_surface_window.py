"""The surface window, driven as a user would: choose, click a start, race, step, search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from optlab.core import registry
from optlab.gui import theme
from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.instruments.instruments_panel import InstrumentsPanel
from optlab.gui.plots.ticks import readable
from optlab.gui.surfaces.describe import curvature
from optlab.gui.surfaces.results import race_text
from optlab.gui.surfaces.scenes import scenes
from optlab.gui.surfaces.surface_window import SurfaceWindow
from optlab.gui.surfaces.terms_table import number
from optlab.gui.surfaces.timeline import Timeline
from optlab.studies.surfaces.descent import Race
from optlab.tasks.surfaces import PictureTask, RaceTask
from optlab.training.control import Inbox

SCENES = {scene.title: scene for scene in scenes()}


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[SurfaceWindow]:
    prewarmer = WorkerPrewarmer()
    window = SurfaceWindow(prewarmer)
    qtbot.addWidget(window)
    window.show()
    yield window
    window.shut_down()
    prewarmer.end()


def settled(qtbot: QtBot, window: SurfaceWindow) -> Race:
    def done() -> bool:
        idle = not (window.pictures.active or window.races.active or window._debounce.isActive())
        return (
            idle
            and window._race is not None
            and window._picture is not None
            and window._computed_for == window._requested()
        )

    qtbot.waitUntil(done, timeout=60_000)
    assert window._race is not None
    return window._race


def test_that_the_cliff_is_shown_at_first_with_its_four_runs(
    qtbot: QtBot, window: SurfaceWindow
) -> None:
    race = settled(qtbot, window)
    assert race.surface.name == "cliff"
    assert [window.methods.list.item(row).text() for row in range(4)] == [
        "From above",
        "From above, clipped",
        "From below",
        "From below, clipped",
    ]
    assert len(window.contours._tracks) == len(window.view._tracks) == 4
    np.testing.assert_array_equal(window.contours._tracks[1].points, race.path(1))
    assert window.timeline.step == window.timeline.slider.maximum() == 60
    # Clipped runs stay near the foot, where the others are thrown away again and again.
    reach = [np.abs(race.path(run)[:, 0]).max() for run in range(4)]
    assert reach[1] < 0.6 * reach[0] and reach[3] < 0.6 * reach[2]


@pytest.mark.parametrize("title", list(SCENES))
def test_that_every_scene_runs_to_its_end(title: str) -> None:
    scene = SCENES[title]
    (race,) = RaceTask(scene.surface, scene.methods, scene.steps, scene.noise).run(Inbox())
    assert len(race.positions) == scene.steps + 1
    assert all(len(method.start) == race.surface.dimension for method in scene.methods)
    assert len({method.color for method in scene.methods}) == len(scene.methods)


def test_that_newton_ends_at_the_saddle_and_the_others_leave_it() -> None:
    scene = next(scene for scene in scenes() if scene.surface["name"] == "saddle")
    (race,) = RaceTask(scene.surface, scene.methods, scene.steps).run(Inbox())
    ends = {method.label: race.path(run)[-1] for run, method in enumerate(scene.methods)}
    assert np.linalg.norm(ends["Newton"]) < 1e-9
    assert abs(ends["Gradient descent"][1]) > 1.0 and abs(ends["Saddle-free Newton"][1]) > 1.0


def test_that_the_results_on_the_cliff_show_the_leap_and_not_only_the_ends() -> None:
    scene = next(scene for scene in scenes() if scene.surface["name"] == "cliff")
    (race,) = RaceTask(scene.surface, scene.methods, scene.steps).run(Inbox())
    parts = race_text(race, scene.methods).split("  ·  ")
    assert [part.partition(":")[0] for part in parts] == [m.label for m in scene.methods]
    for run, part in enumerate(parts):
        number, length = race.largest_step(run)
        steps = np.linalg.norm(np.diff(race.path(run), axis=0), axis=1)
        assert length == pytest.approx(steps.max()) and number == int(steps.argmax()) + 1
        assert f"largest step {readable(length, 3)} (step {number:,})" in part
    leaps = [race.largest_step(run)[1] for run in range(len(parts))]
    assert leaps[0] > 5.0 * leaps[1] and leaps[2] > 5.0 * leaps[3]


def test_that_adam_crosses_the_plateau_first_as_the_scene_says() -> None:
    scene = next(scene for scene in scenes() if scene.surface["name"] == "plateau")
    (race,) = RaceTask(scene.surface, scene.methods, scene.steps).run(Inbox())
    distances = {
        method.label: np.linalg.norm(race.path(run), axis=1)
        for run, method in enumerate(scene.methods)
    }
    assert set(distances) == {"Gradient descent", "Momentum", "RMSProp", "Adam"}
    assert distances["Gradient descent"][-1] > 4.9 and distances["Momentum"][-1] > 4.9
    adam, rmsprop = (int(np.argmax(distances[name] < 1.0)) for name in ("Adam", "RMSProp"))
    assert 0 < 4.5 * adam < rmsprop < 5.5 * adam, "five times as many steps"
    rates = {method.label: method.optimizer["lr"] for method in scene.methods}
    assert rates["Adam"] == rates["RMSProp"], "at the same rate"
    assert "five times" in scene.text
    # The reason that the text gives, with the δ of the optimizer.
    delta = registry.build("optimizer", {"name": "rmsprop"}).values()["eps"]
    assert (race.gradients[0] ** 2).max() < 0.01 * delta


def test_that_a_click_moves_the_start_of_the_selected_method(
    qtbot: QtBot, window: SurfaceWindow
) -> None:
    settled(qtbot, window)
    window.methods.list.setCurrentRow(2)
    window.contours.pointPicked.emit(1.5, -0.5)
    race = settled(qtbot, window)
    assert race.positions[0, 2].tolist() == [1.5, -0.5]
    assert race.positions[0, 0].tolist() != [1.5, -0.5]
    assert window.methods.start.text() == "1.5, -0.5"


def test_that_the_table_shows_the_terms_of_the_current_step(
    qtbot: QtBot, window: SurfaceWindow
) -> None:
    race = settled(qtbot, window)
    window.timeline.show_step(3)
    shown = {
        window.terms.item(row, 0).text(): window.terms.item(row, 1).text()
        for row in range(window.terms.rowCount())
    }  # type: ignore[union-attr]
    assert shown["Δθ"] == number(race.positions[3, 0] - race.positions[2, 0])
    assert shown["g"] == number(race.used[2, 0])
    assert len(window.contours._tracks[0].points) == 4
    window.methods.list.setCurrentRow(1)
    assert "From above, clipped" in window.terms_tile.title.text()


def test_that_another_surface_resets_methods_and_starts(
    qtbot: QtBot, window: SurfaceWindow
) -> None:
    settled(qtbot, window)
    window.surface_form.picker.setCurrentIndex(window.surface_form.picker.findData("rosenbrock"))
    race = settled(qtbot, window)
    assert race.surface.name == "rosenbrock" and race.positions.shape[1] == 2
    window.surface_form.picker.setCurrentIndex(window.surface_form.picker.findData("parabola"))
    race = settled(qtbot, window)
    assert race.positions.shape[2] == 1 and window.plane.currentWidget() is window.line
    assert not window.view_tile.isVisible() and not window.critical_button.isEnabled()


def test_that_a_typed_formula_is_drawn(qtbot: QtBot, window: SurfaceWindow) -> None:
    settled(qtbot, window)
    form = window.surface_form
    form.picker.setCurrentIndex(form.picker.findData("formula"))
    settled(qtbot, window)
    (field,) = [name for name, editor in form.form.editors.items() if editor.field.kind == "text"]
    form.form.set_values({**form.form.values(), field: "x^2 + 3*y^2"})
    form.changed.emit()
    race = settled(qtbot, window)
    assert race.values[0, 0] == pytest.approx(
        race.positions[0, 0, 0] ** 2 + 3 * race.positions[0, 0, 1] ** 2
    )


def test_that_critical_points_are_marked_and_named(qtbot: QtBot, window: SurfaceWindow) -> None:
    window.show_scene(
        next(scene for scene in scenes() if scene.surface["name"] == "himmelblau"), play=False
    )
    settled(qtbot, window)
    window.critical_button.setChecked(True)
    qtbot.waitUntil(lambda: len(window.contours._marks) == 9, timeout=60_000)
    assert sorted(mark.kind for mark in window.contours._marks) == ["maximum"] + 4 * [
        "minimum"
    ] + 4 * ["saddle"]
    assert "4 minima, 4 saddles, 1 maximum" in window.status_label.text()
    window.critical_button.setChecked(False)
    assert window.contours._marks == ()


def test_that_basins_color_the_plane(qtbot: QtBot, window: SurfaceWindow) -> None:
    window.show_scene(
        next(scene for scene in scenes() if scene.surface["name"] == "himmelblau"), play=False
    )
    settled(qtbot, window)
    window.basins_button.setChecked(True)
    qtbot.waitUntil(lambda: window.contours._picture is not None, timeout=60_000)
    picture = window.contours._picture
    assert picture is not None and picture.shape == (81, 81, 3)
    # One color a quarter of the plane, as the minima lie.
    corners = {
        tuple(int(part) for part in picture[row, column]) for row in (20, 60) for column in (20, 60)
    }
    assert len(corners) == 4
    window.basins_button.setChecked(False)
    assert window.contours._picture is None


def test_that_an_invalid_race_shows_an_error_beside_the_methods(
    qtbot: QtBot, window: SurfaceWindow
) -> None:
    settled(qtbot, window)
    window.methods.start.setText("1, 2, 3")
    window.methods.start.editingFinished.emit()
    assert "2 numbers" in window.methods.problem.text()
    form = window.methods.forms["optimizer"]
    form.picker.setCurrentIndex(form.picker.findData("natural_gradient"))
    qtbot.waitUntil(
        lambda: "another optimizer for a surface" in window.methods.problem.text(), timeout=60_000
    )


def test_that_methods_can_be_added_and_removed(qtbot: QtBot, window: SurfaceWindow) -> None:
    settled(qtbot, window)
    window.methods.add_button.click()
    assert len(window.methods.methods()) == 5
    assert len({method.color for method in window.methods.methods()}) == 5
    assert settled(qtbot, window).positions.shape[1] == 5
    for _ in range(4):
        window.methods.remove_button.click()
    assert len(window.methods.methods()) == 1 and not window.methods.remove_button.isEnabled()
    settled(qtbot, window)


def test_that_the_timeline_plays_to_the_end_and_holds(qtbot: QtBot) -> None:
    timeline = Timeline()
    qtbot.addWidget(timeline)
    seen: list[int] = []
    timeline.stepChanged.connect(seen.append)
    timeline.set_steps(20)
    timeline.play()
    assert timeline.playing and timeline.step == 0
    qtbot.waitUntil(lambda: not timeline.playing, timeout=60_000)
    assert timeline.step == 20 and sorted(set(seen)) == list(range(21))
    timeline.show_step(4)
    timeline.forward_button.click()
    assert timeline.step == 5


@pytest.mark.parametrize(
    ("eigenvalues", "shape"),
    [
        ((1.0, 2.0), "convex"),
        ((-1.0, -2.0), "concave"),
        ((-1.0, 2.0), "saddle"),
        ((0.0, 2.0), "one direction"),
        ((0.0, 1e-9), "flat"),
    ],
)
def test_that_a_point_is_described_by_the_signs_of_its_eigenvalues(
    eigenvalues: tuple[float, ...], shape: str
) -> None:
    assert shape in curvature(np.array(eigenvalues), 1e-6)


def test_that_the_readout_names_the_point_under_the_mouse(
    qtbot: QtBot, window: SurfaceWindow
) -> None:
    window.show_scene(
        next(scene for scene in scenes() if scene.surface["name"] == "saddle"), play=False
    )
    settled(qtbot, window)
    assert "saddle-shaped" in window._description_at(0.5, 0.5)
    assert "2, 2" in window._description_at(0.5, 0.5).replace("−", "")
    assert window._description_at(100.0, 0.0) == ""


def test_that_the_hessians_of_the_picture_are_those_of_the_function() -> None:
    (picture,) = PictureTask({"name": "rosenbrock"}).run(Inbox())
    row, column = 40, 100
    x, y = picture.axes[0][column], picture.axes[1][row]
    expected = [[2 - 400 * (y - x**2) + 800 * x**2, -400 * x], [-400 * x, 200.0]]
    np.testing.assert_allclose(picture.hessians[row, column], expected, rtol=1e-10)


def test_that_the_window_follows_the_theme(window: SurfaceWindow) -> None:
    try:
        theme.choose("dark")
        assert window.contours.colors == window.view.colors == theme.DARK.plots
    finally:
        theme.choose("system")


@pytest.fixture
def themed(qapp: QApplication) -> Iterator[None]:
    """Give the application its themes for the length of a test."""
    before = theme.notifier().following
    theme.notifier().following = qapp
    palette, sheet = qapp.palette(), qapp.styleSheet()
    yield
    theme.choose("system")
    theme.notifier().following = before
    qapp.setPalette(palette)
    qapp.setStyleSheet(sheet)


def pixels(widget: QWidget) -> np.ndarray:
    """Return the gray levels ``[height, width]`` of a widget."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    data = np.frombuffer(image.constBits(), dtype=np.uint8)
    return data.reshape(image.height(), image.bytesPerLine())[:, : image.width()].astype(float)


@pytest.mark.usefixtures("themed")
@pytest.mark.parametrize("choice", ["light", "dark"])
def test_that_icons_stand_out_in_each_theme(qtbot: QtBot, choice: theme.Choice) -> None:
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.show()
    timeline.set_steps(10)
    timeline.show_step(5)
    theme.choose(choice)
    background = QColor(theme.current().base).lightness()
    for button in (timeline.play_button, timeline.back_button, timeline.forward_button):
        image = button.icon().pixmap(16, 16).toImage()
        inks = [
            image.pixelColor(x, y)
            for x in range(image.width())
            for y in range(image.height())
            if image.pixelColor(x, y).alpha() > 200
        ]
        assert len(inks) > 20
        assert all(abs(ink.lightness() - background) > 120 for ink in inks)


@pytest.mark.usefixtures("themed")
@pytest.mark.parametrize("choice", ["light", "dark"])
def test_that_toggles_look_different_when_they_are_on(
    qtbot: QtBot, window: SurfaceWindow, choice: theme.Choice
) -> None:
    panel = InstrumentsPanel()
    qtbot.addWidget(panel)
    panel.show()
    theme.choose(choice)
    toggles = [window.critical_button, window.basins_button]
    toggles += [next(iter(panel.cards.values())).fields_button]
    for toggle in toggles:
        toggle.blockSignals(True)
        off = pixels(toggle)
        toggle.setChecked(True)
        on = pixels(toggle)
        toggle.setChecked(False)
        toggle.blockSignals(False)
        assert on.shape == off.shape
        assert (np.abs(on - off) > 5).mean() > 0.2


def test_that_a_long_text_does_not_move_the_buttons(qtbot: QtBot, window: SurfaceWindow) -> None:
    settled(qtbot, window)
    window.show_status("")
    buttons = (window.play_button, window.critical_button, window.timeline.play_button)
    before = [button.mapTo(window, QPoint(0, 0)) for button in buttons]
    window.show_status("A text of several lines. " * 60)
    qtbot.waitUntil(lambda: window.status_label.height() > 2 * window.fontMetrics().height())
    assert [button.mapTo(window, QPoint(0, 0)) for button in buttons] == before
