"""The plots panel finds its plots, and gives each what it draws."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

import optlab.gui.plots
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.gui.plots.tiles import DrawsPath, DrawsSeries, tile_plots
from optlab.training.events import Series, SeriesBlock

ADDED = """
from optlab.gui.plots.run_series_plot import Line, RunSeriesPlot


class AddedPlot(RunSeriesPlot):
    tile_title = "Added"
    tile_row, tile_position = {row}, {position}

    def __init__(self):
        super().__init__((Line("added_series", "Added", 0),), "Added")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the walk over the plots visits, too."""
    monkeypatch.setattr(optlab.gui.plots, "__path__", [*optlab.gui.plots.__path__, str(tmp_path)])
    yield tmp_path
    sys.modules.pop("optlab.gui.plots.added_plot", None)


def test_that_a_plot_is_one_file(qtbot: QtBot, folder: Path) -> None:
    (folder / "added_plot.py").write_text(ADDED.format(row=2, position=0))
    panel = PlotsPanel()
    qtbot.addWidget(panel)
    assert [tile.title.text() for tile in panel.tiles][-1] == "Added"
    assert "added_series" in panel.series
    panel.add(SeriesBlock(2, 0.1, {"added_series": Series(np.array([1, 2]), np.ones((2, 1)))}))
    assert panel.tiles[-1].plot.curve("added_series:0").samples.last == 2  # type: ignore[attr-defined]


def test_that_two_plots_cannot_claim_one_position(folder: Path) -> None:
    (folder / "added_plot.py").write_text(ADDED.format(row=0, position=0))
    with pytest.raises(TypeError, match="both declare tile_row = 0 and tile_position = 0"):
        tile_plots()


def test_that_the_panel_shows_its_six_plots_in_order(qtbot: QtBot) -> None:
    panel = PlotsPanel()
    qtbot.addWidget(panel)
    assert [tile.title.text() for tile in panel.tiles] == [
        "Loss",
        "0-1 error",
        "Margins",
        "Gradient norms",
        "Weight trajectories",
        "Path in weight space",
    ]
    for tile in panel.tiles:
        assert isinstance(tile.plot, DrawsSeries | DrawsPath), tile.title.text()
