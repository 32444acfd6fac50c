"""Plots are freed when the last reference goes, not by the garbage collector.

The collector may run while another plot is being painted, and freeing the items of a scene then ends
the process: Qt paints an axis into a pixmap meanwhile. A closure over the plot that one of its own
parts keeps is enough of a cycle.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from optlab.gui.plots.tiles import TilePlot, tile_plots


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Collect what there is, and nothing during the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector", "qtbot")
@pytest.mark.parametrize("kind", tile_plots(), ids=lambda kind: kind.__name__)
def test_that_a_plot_is_in_no_cycle(kind: type[TilePlot]) -> None:
    plot = kind()
    plot.refresh()
    seen = weakref.ref(plot)
    del plot
    assert seen() is None
