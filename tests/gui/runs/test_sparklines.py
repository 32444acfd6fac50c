"""Small curves in the rows of runs: what they show, and that only rows that are seen are read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from optlab.gui import theme
from optlab.gui.runs.runs_panel import RunsPanel
from optlab.gui.runs.shown_runs import ShownRuns
from optlab.gui.runs.sparklines import Sparklines, curve_box
from optlab.store import StoredSeries
from optlab.tasks.sparklines import POINTS, SparklineTask, points_of

from .test_runs_panel import row, table


def series(values: list[float]) -> StoredSeries:
    return StoredSeries(np.arange(len(values)), np.array(values))


def test_that_a_small_curve_is_the_series_on_its_natural_axis_from_first_to_last() -> None:
    falling = points_of(series([100.0, 10.0, 1.0]))
    np.testing.assert_allclose(falling, [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]], atol=1e-12)
    signed = points_of(series([-1.0, 0.0, 3.0]))
    np.testing.assert_allclose(signed, [[0.0, 0.0], [0.5, 0.25], [1.0, 1.0]])
    with_gap = points_of(series([np.nan, 4.0, np.inf, 2.0]))
    np.testing.assert_allclose(with_gap, [[0.0, 1.0], [1.0, 0.0]])
    assert points_of(series([2.0, 2.0]))[:, 1].tolist() == [0.5, 0.5]
    long = points_of(series(np.linspace(9.0, 1.0, 100_000).tolist()))
    assert long.shape == (POINTS, 2) and long[0, 0] == 0.0 and long[-1].tolist() == [1.0, 0.0]
    for none in (None, series([]), series([1.0]), series([np.nan, 1.0])):
        assert len(points_of(none)) == 0


def test_that_only_runs_that_are_seen_are_read_and_again_only_where_they_have_grown(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, asked = Sparklines(), []
    monkeypatch.setattr(lines.work, "ask", asked.append)
    first, second = row(1, record={"steps": 5}), row(2, record={"steps": 5})
    for _ in range(3):
        assert len(lines.of(first)) == 0
    assert len(lines.of(second)) == 0
    qtbot.waitUntil(lambda: bool(asked))
    assert asked == [SparklineTask(("r1", "r2"))]
    curve = np.array([[0.0, 1.0], [1.0, 0.0]])
    lines.work.answered.emit({"r1": curve, "r2": np.empty((0, 2))})
    assert lines.of(first) is curve and len(lines.of(second)) == 0
    qtbot.wait(100)
    assert len(asked) == 1, "what is known is not read again"
    grown = dataclasses.replace(first, record=dataclasses.replace(first.record, steps=6))
    assert lines.of(grown) is curve, "the former curve stays until the new one is there"
    qtbot.waitUntil(lambda: len(asked) == 2)
    assert asked[1] == SparklineTask(("r1",))


@pytest.mark.parametrize("width", [160, 218, 320, 700])
@pytest.mark.parametrize("selected", [False, True])
def test_that_star_and_small_curve_are_seen_at_any_width_of_the_panel(
    qtbot: QtBot, width: int, selected: bool
) -> None:
    panel = RunsPanel(ShownRuns())
    qtbot.addWidget(panel)
    one = row(1, record={"name": "A title that is far longer than the panel is wide: Adam 0.001"})
    points = np.array([[x, 1.0 - x] for x in np.linspace(0.0, 1.0, 30)])
    panel.sparklines._known["r1"] = one.record.steps, points
    panel.set_table(table([one]))
    panel.resize(width, 300)
    panel.show()
    qtbot.waitExposed(panel)
    tree, index = panel.tree, panel.model.index_of("run r1")
    if selected:
        tree.selectAll()
    star = [column.key for column in panel.model.columns].index("star")
    assert tree.columnViewportPosition(star) + tree.columnWidth(star) <= tree.viewport().width()
    at = curve_box(tree.visualRect(index))
    assert at.width() >= 20 and at.right() < tree.columnViewportPosition(star)
    picture = tree.viewport().grab().toImage()
    color = (
        tree.palette().highlightedText().color()
        if selected
        else QColor(theme.current().plots.curve(1))
    )
    drawn = {
        (x, y)
        for x in range(round(at.left()), round(at.right()))
        for y in range(round(at.top()), round(at.bottom()) + 1)
        if _near(picture.pixelColor(x, y), color)
    }
    # From one end of the box to the other, downhill, and nothing of the name in between.
    assert max(x for x, _ in drawn) - min(x for x, _ in drawn) > at.width() * 0.7
    assert all(
        abs((y - at.top()) / at.height() - (x - at.left()) / at.width()) < 0.3 for x, y in drawn
    )


def _near(color: QColor, other: QColor) -> bool:
    pairs = zip(color.getRgb()[:3], other.getRgb()[:3], strict=True)
    return all(abs(one - two) < 70 for one, two in pairs)
