"""The mouse wheel over plots: views stay finite, and pages scroll."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from optlab.gui.instruments.instruments_panel import InstrumentsPanel
from optlab.gui.plots.contour_plot import ContourPlot
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.path_plot import PathPlot
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.relief import Relief
from optlab.gui.plots.result_plot import ResultPlot
from optlab.gui.plots.ticks import linear_ticks, log_labels, log_ticks, value_labels
from optlab.gui.surfaces.line_plot import LinePlot
from optlab.studies.demonstrations.base import Axis, Curve, Plot
from optlab.training.events import WeightPath


def turn(target: QWidget, at: QPoint, delta: int) -> None:
    event = QWheelEvent(
        QPointF(at),
        QPointF(target.mapToGlobal(at)),
        QPoint(0, 0),
        QPoint(0, delta),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(target, event)


def curve_plot(*, log_x: bool = False, log_y: bool = False, scale: float = 1.0) -> CurvePlot:
    plot = CurvePlot("Loss", log_y=log_y)
    plot.set_log_x(log_x)
    plot.add_curve("a", "a")
    plot.append("a", np.arange(1, 1001), scale * np.linspace(2.0, 1.0, 1000))
    return plot


def result_plot() -> ResultPlot:
    x = np.array([1.0, 10.0, 100.0])
    plot = ResultPlot()
    plot.show_plot(Plot("", Axis("x", log=True), Axis("y", log=True), curves=(Curve("a", x, x),)))
    return plot


def contour_plot() -> ContourPlot:
    axis = np.linspace(-1.0, 1.0, 11)
    plot = ContourPlot()
    plot.set_relief(Relief(axis, axis, axis[:, None] ** 2 + axis**2))
    return plot


def line_plot() -> LinePlot:
    axis = np.linspace(-1.0, 1.0, 11)
    plot = LinePlot()
    plot.set_function(axis, axis**2)
    return plot


def path_plot() -> PathPlot:
    t = np.linspace(0.0, 1.0, 50)
    plot = PathPlot()
    plot.show_path(
        WeightPath(
            run=0,
            steps=np.arange(50),
            plane=np.stack([10.0 * t, t**2], axis=1),
            explained=np.array([0.8, 0.15]),
            off_plane=0.1 * t,
            moved=(),
            values=np.empty((50, 0)),
        )
    )
    return plot


PLOTS: dict[str, Callable[[], PlotFrame]] = {
    "linear": curve_plot,
    "log y": lambda: curve_plot(log_y=True),
    "log x": lambda: curve_plot(log_x=True),
    "log both": lambda: curve_plot(log_x=True, log_y=True),
    "huge values": lambda: curve_plot(scale=1e300),
    "tiny values": lambda: curve_plot(scale=1e-300),
    "tiny values on a log axis": lambda: curve_plot(scale=1e-300, log_y=True),
    "result": result_plot,
    "contours": contour_plot,
    "function": line_plot,
    "path": path_plot,
}


@pytest.mark.parametrize("name", list(PLOTS))
@pytest.mark.parametrize(
    "delta",
    [*(pytest.param(delta, marks=pytest.mark.soak) for delta in (120, -120)), 10**6, -(10**6)],
)
def test_that_the_view_stays_finite_however_much_one_zooms(
    qtbot: QtBot, name: str, delta: int
) -> None:
    plot = PLOTS[name]()
    qtbot.addWidget(plot)
    plot.resize(480, 360)
    plot.show()
    qtbot.waitExposed(plot)
    plot.refresh()
    fitted = plot.canvas.view.viewRange()
    viewport = plot.canvas.viewport()
    # Off center, so that zooming moves the view, too; over the view and over each axis.
    area = plot.canvas.view.sceneBoundingRect()
    corners = [
        QPoint(round(area.left() + 20), round(area.top() + 20)),
        QPoint(round(area.left() - 10), round(area.top() + 20)),
        QPoint(round(area.left() + 20), round(area.bottom() + 8)),
    ]
    for _ in range(100 if abs(delta) > 120 else 600):
        for at in corners:
            turn(viewport, at, delta)
    plot.refresh()
    QTest.mouseMove(viewport, corners[0] + QPoint(30, 30))
    plot.grab()
    assert not plot.following
    for (low, high), (first, last), axis in zip(
        plot.canvas.view.viewRange(),
        fitted,
        (plot.canvas.x_axis, plot.canvas.y_axis),
        strict=True,
    ):
        assert math.isfinite(low) and math.isfinite(high) and low < high
        if delta < 0:  # the data are still in view
            assert low < 0.5 * (first + last) < high
        if axis.log:
            assert -300.0 <= low < high <= 300.0
    plot.follow()
    plot.refresh()
    # An axis may have grown, which changes a plot with equal scales.
    rtol = 0.1 if name == "path" else 1e-6
    np.testing.assert_allclose(plot.canvas.view.viewRange(), fitted, rtol=rtol)


def test_that_ticks_of_any_range_are_finite() -> None:
    for low, high in ((-1e4, 1e4), (305.0, 310.0), (-400.0, -350.0), (0.0, 400.0), (-1e300, 1e300)):
        for spacing, values in log_ticks(low, high, 500.0, 50.0):
            assert spacing is None or math.isfinite(spacing)
            log_labels(values)
            log_labels(values, steps=True)
        linear_ticks(low, high, 500.0, 50.0)
    assert linear_ticks(0.0, 1e-322, 500.0, 50.0) == []


def test_that_an_axis_has_two_labels_where_they_fit() -> None:
    # Steps of a narrow tile: 0 alone is no scale.
    ((spacing, values),) = linear_ticks(0.0, 490.0, 133.0, 80.0)
    assert values == [0.0, 200.0, 400.0] and 133.0 / 490.0 * (spacing or 0.0) >= 50.0
    for low, high in ((1.0, 47.0), (0.0, 137.0), (0.0, 999.0)):
        ((_, values),) = linear_ticks(low, high, 133.0, 80.0)
        assert len(values) >= 2, (low, high)
    ((_, values),) = linear_ticks(0.0, 490.0, 400.0, 80.0)
    assert values == [0.0, 100.0, 200.0, 300.0, 400.0]
    assert value_labels([20000.0, 1500.0], 500.0) == ["20,000", "1,500"]


def test_that_the_wheel_scrolls_a_page_until_a_plot_is_clicked(qtbot: QtBot) -> None:
    panel = InstrumentsPanel()
    qtbot.addWidget(panel)
    panel.resize(700, 300)
    panel.set_tables({"conditioning": {}})
    panel.show()
    qtbot.waitExposed(panel)
    panel.activateWindow()
    card = panel.cards["conditioning"]
    plot = next(iter(card.plots.values()))
    plot.add_curve("a", "a")
    plot.append("a", np.arange(100), np.arange(100.0) + 1.0)
    panel.ensureWidgetVisible(plot)
    qtbot.waitUntil(lambda: plot.canvas.isVisible() or not plot.refresh(), timeout=5000)
    plot.refresh()
    viewport = plot.canvas.viewport()
    center = viewport.rect().center()
    before = panel.verticalScrollBar().value()

    def scroll() -> None:
        # Only events of the window system reach a parent when a widget ignores them.
        position = viewport.mapTo(panel, center)
        QTest.wheelEvent(panel.windowHandle(), position, QPoint(0, -120))

    scroll()
    assert panel.verticalScrollBar().value() > before and plot.following
    QTest.mouseClick(
        panel.windowHandle(),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        viewport.mapTo(panel, center),
    )
    qtbot.waitUntil(plot.hasFocus)
    at = panel.verticalScrollBar().value()
    scroll()
    assert panel.verticalScrollBar().value() == at and not plot.following
