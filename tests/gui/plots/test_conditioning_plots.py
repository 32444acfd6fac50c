"""The tiles of the conditioning instrument, fed by a session."""

from __future__ import annotations

import numpy as np
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui.plots.conditioning_plot import ChangePlot, CurvaturePlot
from optlab.training.control import Inbox
from optlab.training.events import Series, SeriesBlock
from optlab.training.session import session


def test_that_both_tiles_draw_what_the_instrument_measured_of_the_step_taken(qtbot: QtBot) -> None:
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "moons", "size": 60},
            "model": {"name": "mlp", "hidden": [4]},
            "optimizer": {"name": "sgd", "lr": 0.05},
            "precision": "float64",
            "budget": {"steps": 12},
            "instruments": {"conditioning": {"every": 1}},
        }
    )
    plots = CurvaturePlot(), ChangePlot()
    for plot in plots:
        qtbot.addWidget(plot)
    blocks = [e for e in session([experiment], Inbox()) if isinstance(e, SeriesBlock)]
    for block in blocks:
        for plot in plots:
            plot.add(block)

    def drawn(plot: CurvaturePlot | ChangePlot, name: str) -> np.ndarray:
        return plot.curve(f"{name}:0").samples.view(0, 100, 100)[1]

    gg, ghg = drawn(plots[0], "conditioning.gg"), drawn(plots[0], "conditioning.ghg")
    predicted = drawn(plots[1], "conditioning.predicted")
    actual = drawn(plots[1], "conditioning.actual")
    assert len(gg) == len(predicted) == 12
    np.testing.assert_allclose(predicted, -0.05 * gg + 0.5 * 0.05**2 * ghg, rtol=1e-9)
    np.testing.assert_allclose(predicted, actual, rtol=0.05)
    assert not np.array_equal(predicted, actual) and (predicted < 0.0).all()


def test_that_negative_curvature_along_the_gradient_is_a_curve_of_its_own(qtbot: QtBot) -> None:
    plot = CurvaturePlot()
    qtbot.addWidget(plot)
    steps = np.arange(1, 5)
    values = np.array([2.0, -3.0, 4.0, -5.0])[:, None]
    plot.add(SeriesBlock(4, 0.0, {"conditioning.ghg": Series(steps, values)}))
    negative = plot.curve("conditioning.ghg.negative:0").samples.view(0, 10, 100)[1]
    np.testing.assert_array_equal(negative, [np.nan, 3.0, np.nan, 5.0])
    plot.clear()
    plot.add(SeriesBlock(4, 0.0, {"conditioning.ghg": Series(steps, abs(values))}))
    assert "conditioning.ghg.negative:0" not in plot._curves
