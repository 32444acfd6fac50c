"""The live plots: what they draw, and that zooming does not fight the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from optlab.core import registry
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.gui.plots.colors import DARK, LIGHT
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.error_plot import ErrorPlot
from optlab.gui.plots.gradient_plot import GradientPlot
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.path_plot import PathPlot
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.weights_plot import WeightsPlot, short
from optlab.training import events
from optlab.training.events import Series, SeriesBlock


@pytest.fixture
def shown(qtbot: QtBot) -> Callable[[PlotFrame], PlotFrame]:
    def show(plot: PlotFrame) -> PlotFrame:
        qtbot.addWidget(plot)
        plot.resize(480, 360)
        plot.show()
        qtbot.waitExposed(plot)
        return plot

    return show


def curve(n: int = 1000) -> CurvePlot:
    plot = CurvePlot("Loss")
    plot.add_curve("a", "Curve a")
    plot.append("a", np.arange(1, n + 1), np.linspace(2.0, 1.0, n))
    return plot


def drawn(plot: CurvePlot, key: str = "a") -> tuple[np.ndarray, np.ndarray]:
    x, y = plot.curve(key).line.getData()
    return (np.empty(0), np.empty(0)) if x is None else (x, y)


def wheel(plot: PlotFrame, clicks: int) -> None:
    target = plot.canvas.viewport()
    center = QPointF(target.rect().center())
    event = QWheelEvent(
        center,
        QPointF(target.mapToGlobal(center.toPoint())),
        QPoint(0, 0),
        QPoint(0, 120 * clicks),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(target, event)


def block(names: dict[str, np.ndarray]) -> SeriesBlock:
    series = {name: Series(np.arange(1, len(values) + 1), values) for name, values in names.items()}
    return SeriesBlock(10, 1.0, series)


def test_that_a_spike_is_drawn_after_a_million_steps(
    shown: Callable[[PlotFrame], PlotFrame],
) -> None:
    plot = curve(10)
    plot.clear()
    values = np.random.default_rng(0).uniform(1.0, 2.0, 1_000_000)
    values[123_456] = 77.0
    for begin in range(0, 1_000_000, 50_000):
        plot.append("a", np.arange(begin + 1, begin + 50_001), values[begin : begin + 50_000])
    shown(plot)
    plot.refresh()
    x, y = drawn(plot)
    assert len(x) < 10_000
    assert y.max() == 77.0
    assert plot.view_range()[1][1] >= 77.0


def test_that_zooming_stays_while_the_run_goes_on_and_following_comes_back(
    qtbot: QtBot, shown: Callable[[PlotFrame], PlotFrame]
) -> None:
    plot = curve()
    shown(plot)
    plot.refresh()
    assert plot.following and plot.follow_button.isHidden()
    wheel(plot, 3)
    assert not plot.following
    qtbot.waitUntil(plot.follow_button.isVisible)
    before = plot.view_range()
    plot.append("a", np.arange(1001, 2001), np.linspace(1.0, 50.0, 1000))
    plot.refresh()
    assert plot.view_range() == before
    plot.follow_button.click()
    plot.refresh()
    (first, last), (low, high) = plot.view_range()
    assert plot.following and first <= 1 and last >= 2000 and high >= 50.0 and low <= 1.0


def test_that_hovering_shows_step_and_value(
    qtbot: QtBot, shown: Callable[[PlotFrame], PlotFrame]
) -> None:
    plot = curve()
    shown(plot)
    plot.refresh()
    qtbot.mouseMove(plot.canvas.viewport(), plot.canvas.viewport().rect().center() + QPoint(20, 0))
    qtbot.waitUntil(plot.readout.isVisible)
    assert "Curve a" in plot.readout.text()
    plot.clear()
    plot.refresh()
    assert plot.readout.isHidden()


def test_that_a_logarithmic_axis_leaves_out_what_is_not_positive(
    shown: Callable[[PlotFrame], PlotFrame],
) -> None:
    plot = CurvePlot("Loss", log_y=True)
    plot.add_curve("a", "a")
    plot.append("a", np.arange(6), np.array([0.0, -3.0, 10.0, np.nan, 1000.0, np.inf]))
    shown(plot)
    plot.refresh()
    _, y = drawn(plot)
    finite = y[np.isfinite(y)]
    assert set(np.round(finite, 6)) == {1.0, 3.0}
    plot.append("a", np.arange(6, 8), np.array([-1.0, 0.0]))
    plot.refresh()
    plot.clear()
    plot.append("a", np.arange(3), np.array([-1.0, 0.0, -2.0]))
    plot.refresh()
    assert "logarithmic axis leaves all of them out" in plot.message.text()
    plot.set_log_y(False)
    plot.refresh()
    assert drawn(plot)[1].min() == -2.0


def test_that_the_legend_switches_curves(shown: Callable[[PlotFrame], PlotFrame]) -> None:
    plot = curve()
    plot.add_curve("b", "Curve b", 1)
    plot.append("b", np.arange(1, 4), np.array([100.0, 200.0, 300.0]))
    shown(plot)
    plot.refresh()
    assert plot.view_range()[1][1] >= 300.0
    plot.legend.entry("b").click()
    plot.refresh()
    assert not plot.curve("b").line.isVisible()
    assert plot.view_range()[1][1] < 300.0


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0],
        [3.0] * 50,
        [1e300, -1e300, 1e300],
        [np.nan] * 5,
        [0.0, 0.0],
        [1e-300, 2e-300],
    ],
)
@pytest.mark.parametrize("log", [False, True])
def test_that_odd_values_are_drawn_without_a_word(
    shown: Callable[[PlotFrame], PlotFrame], values: list[float], log: bool
) -> None:
    plot = CurvePlot("Loss", log_y=log)
    plot.add_curve("a", "a")
    plot.append("a", np.arange(len(values)) + 1_000_000_000, np.array(values))
    shown(plot)
    plot.refresh()
    plot.resize(60, 40)
    plot.refresh()
    assert plot.grab().width() > 0


def test_that_a_hidden_plot_draws_nothing(qtbot: QtBot) -> None:
    plot = curve()
    qtbot.addWidget(plot)
    plot.refresh()
    assert len(drawn(plot)[0]) == 0


def test_that_marks_stand_where_something_was_changed(
    shown: Callable[[PlotFrame], PlotFrame],
) -> None:
    plot = curve()
    shown(plot)
    plot.mark(500, "ε 0.05")
    plot.refresh()
    assert plot.marks.steps == (500,)
    plot.set_log_x(True)
    plot.refresh()
    plot.clear()
    assert plot.marks.steps == ()


def test_that_values_can_be_exported(
    qtbot: QtBot, shown: Callable[[PlotFrame], PlotFrame], tmp_path: Path
) -> None:
    plot = curve(20)
    shown(plot)
    plot.refresh()
    with qtbot.waitSignal(plot.copied, timeout=20_000):
        plot.copy_values()
    text = QApplication.clipboard().text()
    assert "Curve a" in text and "20" in text
    plot.export_image(str(tmp_path / "plot.png"))
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_that_regression_has_no_error_to_plot_and_it_says_so(
    shown: Callable[[PlotFrame], PlotFrame],
) -> None:
    plot = ErrorPlot()
    plot.set_task("regression")
    shown(plot)
    plot.refresh()
    assert "0-1" in plot.message.text()
    plot.set_task("classes")
    plot.add(block({"validation_error": np.array([[0.5], [0.25]])}))
    plot.refresh()
    assert drawn(plot, "validation_error:0")[1].max() == pytest.approx(50.0)


def test_that_runs_of_a_population_get_a_curve_each(
    shown: Callable[[PlotFrame], PlotFrame],
) -> None:
    plot = LossPlot()
    plot.add(block({"batch_loss": np.array([[3.0, 2.0, 1.0], [2.0, 1.0, 0.5]])}))
    shown(plot)
    plot.refresh()
    for run, last in enumerate((2.0, 1.0, 0.5)):
        reading = plot.curve(f"batch_loss:{run}").samples.reading(2)
        assert reading is not None and reading.lowest == last


@pytest.mark.parametrize("runs", [1, 3])
def test_that_the_risk_is_in_the_legend_only_where_it_is_measured(
    runs: int, shown: Callable[[PlotFrame], PlotFrame]
) -> None:
    plot = LossPlot()
    values = np.array([[3.0] * runs, [2.0] * runs])
    plot.add(block({"batch_loss": values}))
    shown(plot)
    without = set(plot.legend.keys())
    plot.add(block({"batch_loss": values, "risk_loss": values / 4.0}))
    plot.refresh()
    new = set(plot.legend.keys()) - without
    assert len(new) == 1
    for run in range(runs):
        reading = plot.curve(f"risk_loss:{run}").samples.reading(2)
        assert reading is not None and reading.lowest == 0.5
    plot.clear()
    assert set(plot.legend.keys()) == without
    plot.add(block({"risk_loss": values}))
    assert set(plot.legend.keys()) == without | new


def path(n: int = 50) -> events.WeightPath:
    t = np.linspace(0.0, 1.0, n)
    return events.WeightPath(
        run=0,
        steps=np.arange(n) * 10,
        plane=np.stack([10.0 * t, t**2], axis=1),
        explained=np.array([0.8, 0.15]),
        off_plane=0.1 * t,
        moved=tuple(f"layers.1.weight[{i},0]" for i in range(12)),
        values=np.outer(t, np.arange(12.0, 0.0, -1.0)),
    )


def test_that_a_series_without_values_is_no_news(qtbot: QtBot) -> None:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.add(block({"train_loss": np.empty((0, 1)), "batch_loss": np.ones((3, 1))}))
    assert not len(plot.curve("train_loss:0").samples) and len(plot.curve("batch_loss:0").samples)


def test_that_the_path_says_how_much_of_it_is_seen(shown: Callable[[PlotFrame], PlotFrame]) -> None:
    plot = PathPlot()
    plot.show_path(path())
    shown(plot)
    plot.refresh()
    assert "95%" in plot.caption.text()
    assert "80%" in plot.canvas.x_axis.label.toPlainText()
    (x0, x1), (y0, y1) = plot.canvas.view.viewRange()
    size = plot.canvas.view.size()
    assert (x1 - x0) / size.width() == pytest.approx((y1 - y0) / size.height(), rel=0.02)
    assert x0 <= 0.0 and x1 >= 10.0


def test_that_three_points_of_a_path_claim_no_share_of_it(
    shown: Callable[[PlotFrame], PlotFrame],
) -> None:
    plot = PathPlot()
    plot.show_path(path(3))
    shown(plot)
    plot.refresh()
    assert "%" not in plot.caption.text() + plot.canvas.x_axis.label.toPlainText()
    assert "3 points" in plot.caption.text()


@pytest.mark.parametrize("width", [480, 170])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("bend", ["over", "under", "arch", "up", "loop"])
def test_that_the_labels_of_a_path_lie_beside_it(
    shown: Callable[[PlotFrame], PlotFrame], bend: str, mirrored: bool, width: int
) -> None:
    t = np.linspace(0.0, 1.0, 60)
    line = {
        "over": np.stack([t, np.sin(2.6 * t)], axis=1),
        "under": np.stack([t, -np.sin(2.6 * t)], axis=1),
        "arch": np.stack([t, np.sin(np.pi * t)], axis=1),
        "up": np.stack([t, 1.5 * t], axis=1),
        "loop": np.stack([np.sin(6.0 * t), np.cos(6.0 * t)], axis=1),
    }[bend]
    if mirrored:
        line = line[::-1]
    plot = PathPlot()
    one = path(60)
    plot.show_path(dataclasses.replace(one, plane=10.0 * line, steps=one.steps * 100_000))
    shown(plot)
    plot.resize(width, 360)
    plot.refresh()
    QApplication.processEvents()
    boxes = [label.mapRectToScene(label.boundingRect()) for label in plot.labels]
    texts = [box.adjusted(4.0, 4.0, -4.0, -4.0) for box in boxes]  # without their margins
    assert not texts[0].intersects(texts[1])
    assert width < 400 or not boxes[0].intersects(boxes[1])
    if bend == "loop" or width < 400:
        return  # Its ends are near each other: one of the labels may lie on the other side.
    fine = np.linspace(0, 59, 2000)
    drawn = [np.interp(fine, np.arange(60), 10.0 * line[:, axis]) for axis in (0, 1)]
    covered = [
        sum(
            box.contains(plot.canvas.view.mapViewToScene(QPointF(x, y)))
            for x, y in zip(*drawn, strict=True)
        )
        for box in boxes
    ]
    assert covered == [0, 0], "a label lies on the line"


def test_that_labels_that_fit_side_by_side_stay_beside_the_line(
    shown: Callable[[PlotFrame], PlotFrame],
) -> None:
    """Their margins touch on a tile of the window at its first size, and their texts do not."""
    t = np.linspace(0.0, 1.0, 60)
    one = path(60)
    plane = 10.0 * np.stack([t, 0.9 * np.sin(2.9 * t)], axis=1)
    plot = PathPlot()
    plot.show_path(
        dataclasses.replace(one, plane=plane, steps=np.linspace(0, 2000, 60).astype(int))
    )
    shown(plot)
    plot.resize(206, 190)
    plot.refresh()
    assert [label.anchor.y() > 0.0 for label in plot.labels] == [False, False]


def test_that_the_labels_of_a_path_do_not_jump(shown: Callable[[PlotFrame], PlotFrame]) -> None:
    t = np.linspace(0.0, 1.0, 60)
    plot = PathPlot()
    shown(plot)
    sides = []
    for tilt in (5.0, 0.02, -0.02, 0.02, -5.0):
        plot.show_path(dataclasses.replace(path(60), plane=np.stack([10.0 * t, tilt * t], axis=1)))
        plot.refresh()
        sides.append([label.anchor.y() > 0.0 for label in plot.labels])
    assert sides == [[False, True]] * 4 + [[True, False]]


def test_that_weights_show_the_largest_moving_and_the_followed(qtbot: QtBot) -> None:
    plot = WeightsPlot()
    qtbot.addWidget(plot)
    plot.set_followed(("layers.0.weight[0,0]", "layers.0.bias[1]"))
    plot.add(block({"weights": np.array([[[1.0, 2.0]], [[1.5, 2.5]]])}))
    plot.show_path(path())
    plot.resize(420, 360)
    plot.show()
    qtbot.waitExposed(plot)
    plot.refresh()
    assert len(plot.largest.keys) == 8
    assert plot.largest.curve("0").label == short("layers.1.weight[0,0]")
    assert drawn(plot.largest, "0")[1].max() == pytest.approx(12.0)
    plot.mode.setCurrentIndex(1)
    plot.refresh()
    assert drawn(plot.followed, "1")[1].max() == 2.5


def test_that_another_weight_takes_the_curve_of_one_that_moves_less(qtbot: QtBot) -> None:
    plot = WeightsPlot()
    qtbot.addWidget(plot)
    plot.show_path(path())
    kept = {plot.largest.curve(key).label: key for key in plot.largest.keys}
    plot.largest.set_curve_visible("3", False)
    one = path()
    moved = (*one.moved[:3], "layers.2.bias[5]", *one.moved[4:])
    plot.show_path(dataclasses.replace(one, moved=moved, values=one.values + 1.0))
    named = {plot.largest.curve(key).label: key for key in plot.largest.keys}
    assert named.pop(short("layers.2.bias[5]")) == kept.pop(short(one.moved[3])) == "3"
    assert named == kept, "the others keep their colors"
    entry = plot.largest.legend.entry("3")
    assert entry.text() == short("layers.2.bias[5]") and "layers.2.bias[5]" in entry.toolTip()
    assert entry.accessibleName() == f"Show {short('layers.2.bias[5]')}"
    assert plot.largest.curve_visible("3"), "the weight before it was hidden, and this one is not"
    values = plot.largest.curve("3").samples.samples(0, 10_000).values
    assert values[-1] == one.values[-1, 3] + 1.0
    # Another model may have fewer weights.
    few = dataclasses.replace(one, moved=moved[3:5], values=one.values[:, 3:5])
    plot.show_path(few)
    assert [plot.largest.curve(key).label for key in plot.largest.keys] == [
        short("layers.2.bias[5]"),
        short("layers.1.weight[4,0]"),
    ]
    assert plot.largest.legend.keys() == ("0", "1")


def test_that_weights_are_not_interpolated_over_a_gap_of_the_path(qtbot: QtBot) -> None:
    plot = WeightsPlot()
    qtbot.addWidget(plot)
    whole = path(50)
    steps = whole.steps.copy()
    steps[20:] += 400
    plot.show_path(dataclasses.replace(whole, steps=steps))
    plot.resize(420, 360)
    plot.show()
    qtbot.waitExposed(plot)
    plot.refresh()
    x, y = drawn(plot.largest, "0")
    gap = (x > 191) & (x < 600)
    assert np.isnan(y).sum() == 1 and not np.isfinite(y[gap]).any()
    plot.show_path(whole)
    plot.refresh()
    assert np.isfinite(drawn(plot.largest, "0")[1]).all()


@pytest.mark.parametrize(
    ("name", "shortened"),
    [
        ("layers.1.weight[8,5]", "W1[8,5]"),
        ("layers.0.bias[3]", "b0[3]"),
        ("recurrent.weight[0,1]", "recurrent.weight[0,1]"),
    ],
)
def test_that_names_of_weights_are_short_in_legends(name: str, shortened: str) -> None:
    assert short(name) == shortened


def test_that_every_measure_is_drawn_on_some_plot(qtbot: QtBot) -> None:
    panel = PlotsPanel()
    qtbot.addWidget(panel)
    assert {measure.name for measure in registry.components("measure")} <= panel.series


def test_that_a_run_without_a_value_at_a_step_keeps_its_curve_whole(qtbot: QtBot) -> None:
    plot = GradientPlot()
    qtbot.addWidget(plot)
    values = np.array([[3.0, 4.0], [np.nan, 2.0], [1.0, np.nan]])
    plot.add(SeriesBlock(30, 0.1, {"full_gradient_norm": Series(np.array([0, 10, 30]), values)}))
    for row, (last, norm) in enumerate(((30, 1.0), (10, 2.0))):
        samples = plot.curve(f"full_gradient_norm:{row}").samples
        assert len(samples) == 2 and samples.last == last
        reading = samples.reading(1e18)
        assert reading is not None and reading.lowest == norm


def test_that_a_tile_can_be_made_large_and_small_again(qtbot: QtBot) -> None:
    panel = PlotsPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 600)
    panel.show()
    qtbot.waitExposed(panel)
    panel.tiles[3].enlarge_button.click()
    assert [tile.isVisible() for tile in panel.tiles] == [False, False, False, True, False, False]
    panel.tiles[3].enlarge_button.click()
    assert all(tile.isVisible() for tile in panel.tiles)


@pytest.mark.parametrize("colors", [LIGHT, DARK])
def test_that_plots_follow_the_theme(
    shown: Callable[[PlotFrame], PlotFrame], colors: object
) -> None:
    plot = curve()
    shown(plot)
    plot.mark(10, "x")
    plot.set_colors(colors)  # type: ignore[arg-type]
    plot.refresh()
    image = plot.grab().toImage()
    corner = image.pixelColor(plot.canvas.x() + plot.canvas.width() - 3, plot.canvas.y() + 3).name()
    assert corner == colors.background  # type: ignore[attr-defined]
