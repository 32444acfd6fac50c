"""What every plot implements."""

from __future__ import annotations

import importlib
import pkgutil

import pyqtgraph as pg
import pytest
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

import optlab.gui
from optlab.gui.plots.axis import PlotAxis, shortened
from optlab.gui.plots.linked_plot import LinkedPlot
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.values_plot import ValuesPlot
from optlab.gui.studies.forest_plot import ForestPlot


def below(cls: type) -> set[type]:
    return {cls}.union(*(below(child) for child in cls.__subclasses__()))


def test_that_every_plot_draws_and_reads_out() -> None:
    for module in pkgutil.walk_packages(optlab.gui.__path__, "optlab.gui."):
        importlib.import_module(module.name)
    plots = below(PlotFrame) - {PlotFrame, ValuesPlot, LinkedPlot}
    assert len(plots) >= 8
    for plot in plots:
        for name in ("_draw", "_update_readout"):
            assert not getattr(getattr(plot, name), "__isabstractmethod__", False), (
                f"{plot.__name__} has no {name}"
            )


@pytest.mark.parametrize(
    ("name", "room", "shown"),
    [
        ("Weight", "Weight", "Weight"),
        ("Weight", "Wei…", ""),
        ("PC 1 (88% of the path)", "PC 1 (88% of the…", "PC 1"),
        ("PC 1 (88% of the path)", "PC", ""),
        ("Gradient norm", "Gradient no…", "Gradient no…"),
        ("Gradient norm", "Gradie…", ""),
        ("ratio of steps to a train_error ≤ 0.01", "ratio of steps to…", "ratio of steps to…"),
        ("ratio of steps to a train_error ≤ 0.01", "ratio of…", ""),
        ("f(x) of something", "f(x) of someth…", "f(x) of someth…"),
        ("", "", ""),
    ],
)
def test_that_the_name_of_a_short_axis_says_what_it_is_or_is_dropped(
    qapp: QApplication, name: str, room: str, shown: str
) -> None:
    metrics = QFontMetricsF(qapp.font())
    assert shortened(name, metrics, metrics.horizontalAdvance(room) + 1.0) == shown


def test_that_a_low_tile_has_no_stub_of_a_name(qtbot: QtBot) -> None:
    axis, name = PlotAxis("left"), "Share of directions"
    plot = pg.PlotWidget(axisItems={"left": axis})
    qtbot.addWidget(plot)
    plot.show()
    axis.set_label(name)
    needed = QFontMetricsF(axis.label.font()).horizontalAdvance(name)
    for height, whole in ((500, True), (round(0.6 * needed) + 30, False), (55, False), (500, True)):
        plot.resize(400, height)
        qtbot.waitUntil(lambda height=height: axis.size().height() < height)
        qtbot.waitUntil(lambda whole=whole: (axis.size().height() > needed) is whole)
        assert axis.label.toPlainText().strip() == (name if whole else "")
        assert ("Share" in axis.toolTip()) is not whole


def test_that_the_name_of_an_axis_is_as_long_as_the_axis_allows(qtbot: QtBot) -> None:
    """A long measure of a study in a narrow window was cut off at both ends."""
    plot = ForestPlot()
    qtbot.addWidget(plot)
    plot.show()
    measure = "ten_times_fitted: 10 × steps to train_error ≤ 0.01; found: steps to 0.1"
    compared = {"arm": "a", "relation": "<", "against": "b", "effect": 0.5, "interval": [0.3, 0.8]}
    compared |= {"verdict": "supported", "seeds_needed": None}
    plot.show_comparisons([compared], "ratio", 1.2, measure)
    plot.refresh()
    axis = plot.canvas.x_axis
    for width in (300, 1200, 420):
        plot.resize(width, 300)
        qtbot.waitUntil(lambda: abs(axis.size().width() - plot.canvas.width()) < 80)
        shown = axis.label.toPlainText().strip()
        room = axis.size().width()
        assert QFontMetricsF(axis.label.font()).horizontalAdvance(shown) <= room
        assert axis.label.pos().x() + axis.label.document().documentMargin() >= 0.0
        whole = shown == f"ratio of {measure}"
        assert whole == (width == 1200) and (whole or shown.endswith("…"))
        assert (measure in axis.label.toolTip()) is not whole
