"""Other runs over a plot: each with its name, its color and its values; bands, units, crosshair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPointF
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.overlay import Band, BandSamples, Overlay, SeriesKey
from optlab.gui.plots.plot_link import PlotLink
from optlab.gui.plots.pyramid import Pyramid
from optlab.gui.plots.value_export import ValuesTask
from optlab.tasks.run_scales import RunScale
from optlab.training.control import Inbox
from optlab.training.events import Series, SeriesBlock

KEY = SeriesKey("train_loss")


def pyramid(values: Any) -> Pyramid:
    made = Pyramid()
    made.append(np.arange(len(values)), np.asarray(values, dtype=float))
    return made


def overlay(run: str, name: str, color: int, value: float, **given: Any) -> Overlay:
    return Overlay(run, name, color, samples={KEY: pyramid([value] * 11)}, **given)


def block(values: Any) -> SeriesBlock:
    steps = np.arange(len(values))
    return SeriesBlock(len(values), 1.0, {"train_loss": Series(steps, np.array(values)[:, None])})


@pytest.fixture
def plot(qtbot: QtBot) -> LossPlot:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(900, 500)
    plot.show()
    plot.add(block([5.0] * 11))
    return plot


def lines(plot: LossPlot) -> dict[str, tuple[int, float]]:
    """Name in the readout → color and last value of every visible training curve."""
    return {
        plot.curve(key).label: (
            plot.curve(key).color,
            float(plot.curve(key).samples.samples(0, 99).values[-1]),
        )
        for key in plot.keys
        if key.startswith("train_loss") and plot.curve(key).shown
    }


def test_that_every_run_has_its_own_name_color_and_values(plot: LossPlot) -> None:
    assert lines(plot) == {"Training": (0, 5.0)}
    own = Overlay("live", "Adam 0.1", 7, own=True)
    plot.set_overlays([own, overlay("a", "slow", 3, 1.0), overlay("b", "fast", 4, 2.0)])
    expected = {
        "Training, Adam 0.1": (7, 5.0),
        "Training, slow": (3, 1.0),
        "Training, fast": (4, 2.0),
    }
    assert lines(plot) == expected
    assert [plot.legend.entry(f"run {run}").text() for run in ("", "a", "b")] == [
        "Adam 0.1",
        "slow",
        "fast",
    ]
    plot.refresh()
    assert plot.curve("train_loss@b").ink(plot.colors) == plot.colors.curve(4)
    # A new name and color are those of the same run; the live run goes on.
    plot.add(block([5.0] * 11 + [6.0]))
    plot.set_overlays([own, overlay("b", "fast", 9, 2.0)])
    assert lines(plot) == {"Training, Adam 0.1": (7, 6.0), "Training, fast": (9, 2.0)}
    plot.set_overlays([own])
    assert lines(plot) == {"Training": (0, 6.0)}
    assert set(plot.legend.keys()) >= {"train_loss:0", "batch_loss:0"}


def test_that_the_same_runs_are_not_laid_again(plot: LossPlot) -> None:
    """The runs panel reads its table again and again: every time would draw all plots at once."""
    runs = [Overlay("live", "Adam", 7, own=True), overlay("a", "slow", 3, 1.0)]
    plot.set_overlays(runs)
    plot.refresh()
    plot.set_overlays([replace(one) for one in runs])
    assert not plot.refresh(), "nothing has changed"
    for changed in (
        replace(runs[1], name="slower"),
        replace(runs[1], color=4),
        replace(runs[1], visible=False),
        replace(runs[1], samples={KEY: pyramid([1.0] * 11)}),
        replace(runs[1], scale=RunScale()),
    ):
        plot.set_overlays([runs[0], changed])
        assert plot.refresh()


def test_that_the_legend_switches_series_and_runs(plot: LossPlot) -> None:
    plot.set_overlays([overlay("a", "slow", 3, 1.0), overlay("b", "fast", 4, 2.0)])
    plot.legend.entry("run a").setChecked(False)
    assert set(lines(plot)) == {"Training", "Training, fast"}
    plot.set_overlays([overlay("a", "slow", 3, 1.0), overlay("b", "fast", 4, 2.0)])
    assert set(lines(plot)) == {"Training", "Training, fast"}, "what is hidden stays hidden"
    plot.legend.entry("train_loss").setChecked(False)
    assert lines(plot) == {}
    plot.set_overlays([])
    assert not plot.curve_visible("train_loss:0")


def test_that_the_legend_does_not_blink_when_runs_are_laid_again(plot: LossPlot) -> None:
    runs = [overlay("a", "first", 1, 1.0), overlay("b", "second", 2, 2.0)]
    plot.set_overlays(runs)
    before = {key: plot.legend.entry(key) for key in plot.legend.keys()}  # noqa: SIM118
    plot.legend.entry("run a").setChecked(False)
    plot.set_overlays([*runs, overlay("c", "third", 3, 3.0)])
    assert {key: plot.legend.entry(key) for key in before} == before, "entries were built anew"
    assert not plot.legend.is_checked("run a")
    # Before the next turn of the event loop, too.
    assert all(plot.legend.entry(key).isVisible() for key in plot.legend.keys())  # noqa: SIM118
    plot.set_overlays([overlay("a", "renamed", 1, 1.0)])
    assert plot.legend.entry("run a").text() == "renamed"
    assert "run b" not in plot.legend.keys() and before["run b"].isHidden()  # noqa: SIM118


def test_that_lines_are_as_thick_on_a_screen_with_smaller_pixels(
    plot: LossPlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot.refresh()
    own = next(plot.own_key(line) for line in plot.lines if line.name == "train_loss")
    pen = plot.curve(own).line.opts["pen"]
    assert pen.isCosmetic(), "its width is in pixels of the device"
    width = pen.widthF()
    monkeypatch.setattr(type(plot), "devicePixelRatioF", lambda _self: 2.0)
    QApplication.sendEvent(plot, QEvent(QEvent.Type.DevicePixelRatioChange))
    plot.refresh()
    assert plot.curve(own).line.opts["pen"].widthF() == 2 * width
    monkeypatch.undo()
    QApplication.sendEvent(plot, QEvent(QEvent.Type.DevicePixelRatioChange))
    plot.refresh()
    assert plot.curve(own).line.opts["pen"].widthF() == width


def test_that_a_new_run_leaves_the_others(plot: LossPlot) -> None:
    plot.set_overlays([Overlay("live", "x", 0, own=True), overlay("a", "slow", 3, 1.0)])
    plot.clear()
    plot.add(block([8.0] * 3))
    assert lines(plot) == {"Training, x": (0, 8.0), "Training, slow": (3, 1.0)}


def test_that_a_band_stands_for_its_runs_and_all_values_are_exported(plot: LossPlot) -> None:
    values = {"a": 1.0, "b": 3.0}
    members = [overlay(run, f"seed {run}", 3, value, folded=True) for run, value in values.items()]
    band = Band(
        "g",
        "SGD (2 seeds)",
        3,
        ("a", "b"),
        {KEY: BandSamples(pyramid([2.0] * 11), pyramid([1.0] * 11), pyramid([3.0] * 11))},
    )
    plot.set_overlays(members, [band])
    plot.refresh()
    assert lines(plot) == {"Training": (-1, 5.0), "Training, SGD (2 seeds)": (3, 2.0)}
    item = plot._band_items["train_loss@band g"]
    bounds = item.path().boundingRect()
    low, high = np.log10([1.0, 3.0])
    assert bounds.top() == pytest.approx(low) and bounds.bottom() == pytest.approx(high)
    (text,) = ValuesTask(plot.values_in_view()).run(Inbox())
    assert isinstance(text, str)
    assert '"Training, seed a",3,1.0' in text and '"Training, seed b",3,3.0' in text
    assert '"Training, SGD (2 seeds)",3,2.0' in text


def test_that_each_run_has_its_own_seconds(plot: LossPlot, qtbot: QtBot) -> None:
    link = PlotLink(plot)
    plot.set_link(link)
    plot.set_scale(RunScale(seconds=[(10.0, 2.0)]))
    plot.set_overlays([overlay("a", "slow", 3, 1.0, scale=RunScale(seconds=[(10.0, 50.0)]))])
    link.set_unit("seconds")
    plot.refresh()
    assert plot.curve("train_loss:0").line.getData()[0][-1] == pytest.approx(2.0)
    assert plot.curve("train_loss@a").line.getData()[0][-1] == pytest.approx(50.0)
    assert plot.view_range()[0][1] == pytest.approx(51.0)
    link.set_unit("epochs")
    plot.refresh()
    assert "not recorded" in plot.message.text()
    link.set_unit("steps")
    plot.refresh()
    assert plot.curve("train_loss@a").line.getData()[0][-1] == pytest.approx(10.0)


def test_that_the_average_is_drawn_over_the_raw_values(plot: LossPlot) -> None:
    link = PlotLink(plot)
    plot.set_link(link)
    link.set_smoothing(0.9)
    plot.add(block([5.0] * 11 + [6.0]))
    plot.refresh()
    curve = plot.curve("train_loss:0")
    assert curve.smoothed is not None and curve.smooth_line is not None
    averaged = curve.smoothed.samples(0, 99).values
    weights = 0.9 ** np.arange(12)[::-1]
    assert averaged[-1] == pytest.approx((weights @ ([5.0] * 11 + [6.0])) / weights.sum())
    assert curve.line_ink(plot.colors) != curve.ink(plot.colors)
    link.set_smoothing(0.0)
    plot.refresh()
    assert not curve.smooth_line.isVisible()
    assert curve.line_ink(plot.colors) == curve.ink(plot.colors)


def test_that_the_crosshair_is_in_all_plots(plot: LossPlot, qtbot: QtBot) -> None:
    other = LossPlot()
    qtbot.addWidget(other)
    other.resize(400, 300)
    other.show()
    other.add(block([7.0] * 11))
    link = PlotLink(plot)
    for one in (plot, other):
        one.set_link(link)
        one.refresh()
    at = plot.canvas.view.mapViewToScene(QPointF(4.0, 0.5))
    plot.canvas.hovered.emit(at)
    assert other.crosshair.isVisible() and other.crosshair.value() == pytest.approx(4.0, abs=0.05)
    assert "7" in other.readout.text() and other.readout.isVisible()
    plot.canvas.left.emit()
    assert not other.crosshair.isVisible() and not other.readout.isVisible()
