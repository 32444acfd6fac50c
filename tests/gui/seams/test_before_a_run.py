"""Tiles that look at an experiment before it runs, in the real window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pytestqt.qtbot import QtBot

from optlab.gui.main_window import MainWindow
from optlab.gui.plots.range_plot import RangePlot
from optlab.gui.plots.start_plot import StartPlot
from optlab.gui.plots.tiles import tile_key
from optlab.studies.tuning.range_test import range_test
from optlab.studies.tuning.start_table import start_table

from .conftest import WAIT


def test_that_the_start_is_shown_and_the_suggested_rate_comes_into_the_editor(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window(initializer={"name": "he"})
    for kind in (StartPlot, RangePlot):
        window.plots.board.open(tile_key(kind))
    start, rates = window.plots.plot(StartPlot), window.plots.plot(RangePlot)
    panel = window.experiment_panel

    # The experiment's own initializer and the others, again after an edit.
    qtbot.waitUntil(lambda: len(start.tables) == 3, timeout=3 * WAIT)
    assert [table.initializer for table in start.tables] == ["he", "fan_in", "orthogonal"]
    assert start.tables[0] == start_table(panel.experiment())
    panel.change({"model.hidden": (6, 5)})
    qtbot.waitUntil(lambda: len(start.tables[0].weights) == 6, timeout=WAIT)
    drawn = start.backward._plot
    names = [spread.name for spread in start.tables[0].activations]
    np.testing.assert_array_equal(
        drawn.curves[0].y, [spread.std for spread in start.tables[0].backward]
    )
    assert drawn.y.log and f"5 {names[4]}" in start.words.text()
    assert drawn.curves[0].name == "He (Kaiming), chosen"

    rates.first.setText("tiny")
    rates.run_button.click()
    assert "must be numbers" in rates.words.text() and not rates.busy
    rates.first.setText("1e-4")
    rates.run_button.click()
    assert rates.run_button.text() == "Cancel"
    qtbot.waitUntil(lambda: rates.found is not None and not rates.busy, timeout=WAIT)
    expected = range_test(panel.experiment(), 1e-4, 10.0)
    assert rates.found.steepest == expected.steepest
    assert rates.words.text() == expected.explanation
    assert panel.experiment().optimizer.lr != rates.suggestion
    rates.use_button.click()
    assert panel.experiment().optimizer.lr == rates.suggestion == float(f"{expected.steepest:.3g}")
