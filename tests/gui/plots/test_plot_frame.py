"""What every plot implements."""

from __future__ import annotations

import importlib
import pkgutil

import optlab.gui
from optlab.gui.plots.linked_plot import LinkedPlot
from optlab.gui.plots.plot_frame import PlotFrame
from optlab.gui.plots.values_plot import ValuesPlot


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
