"""One frame of 16 curves with a million steps each: appended to, brought up to date and painted,
against pyqtgraph's own ways.

The peers hold the same samples in arrays and hand them over whole: plainly, and with automatic
down-sampling and clipping set on the plot item. The three take turns, and figures are medians. Run
it off screen or under a virtual screen:

    QT_QPA_PLATFORM=offscreen python tests/benchmarks/bench_plots.py [--turns 5] [--steps 1000000]
    [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QApplication

from optlab.gui.plots.colors import LIGHT
from optlab.gui.plots.curve_plot import CurvePlot

CURVES = 16
BLOCK = 200
"""Steps that a fast run takes in the time of a frame."""
SIZE = (1200, 800)
FRAMES_A_TURN = 10
"""Frames of ours in a turn, of which the slowest counts as well; a peer paints one."""
Frame = Callable[[int], None]


def data(steps: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps ``[n]`` and values ``[CURVES, n]`` of noisy losses, with room for ``blocks`` blocks
    after the first ``steps``.
    """
    random = np.random.default_rng(0)
    at = np.arange(1, steps + blocks * BLOCK + 1)
    values = (
        np.exp(-at / steps * 3) * np.exp(random.normal(size=(CURVES, len(at))) * 0.3)
        + np.arange(CURVES)[:, None] * 0.2
    )
    return at, values


def ours(at: np.ndarray, values: np.ndarray, steps: int) -> tuple[Frame, CurvePlot]:
    plot = CurvePlot("Loss")
    for curve in range(CURVES):
        plot.add_curve(str(curve), f"Curve {curve}", curve)
        plot.append(str(curve), at[:steps], values[curve, :steps])
    plot.resize(*SIZE)
    plot.show()

    def frame(number: int) -> None:
        end = steps + (number + 1) * BLOCK
        for curve in range(CURVES):
            plot.append(str(curve), at[end - BLOCK : end], values[curve, end - BLOCK : end])
        plot.refresh()
        plot.canvas.viewport().repaint()

    return frame, plot


def peer(
    at: np.ndarray, values: np.ndarray, steps: int, *, reduced: bool
) -> tuple[Frame, pg.PlotWidget]:
    plot = pg.PlotWidget(background=LIGHT.background)
    if reduced:
        plot.getPlotItem().setDownsampling(auto=True, mode="peak")
        plot.getPlotItem().setClipToView(True)
    curves = [
        plot.plot(at[:steps], values[curve, :steps], pen=pg.mkPen(LIGHT.curve(curve), width=1))
        for curve in range(CURVES)
    ]
    plot.resize(*SIZE)
    plot.show()

    def frame(number: int) -> None:
        end = steps + (number + 1) * BLOCK
        for curve, item in enumerate(curves):
            item.setData(at[:end], values[curve, :end])
        plot.viewport().repaint()

    return frame, plot


def milliseconds(frame: Frame, number: int) -> float:
    begun = time.perf_counter()
    frame(number)
    return 1000.0 * (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    application = QApplication([])
    frames = (asked.turns + 1) * FRAMES_A_TURN
    at, values = data(asked.steps, frames)
    mine, plot = ours(at, values, asked.steps)
    plain, plain_plot = peer(at, values, asked.steps, reduced=False)
    reduced, reduced_plot = peer(at, values, asked.steps, reduced=True)
    application.processEvents()
    for frame in (mine, plain, reduced):
        frame(0)
    found: list[list[float]] = [[], [], []]
    number = 0
    for turn in range(1, asked.turns + 1):
        for _ in range(FRAMES_A_TURN):
            number += 1
            found[0].append(milliseconds(mine, number))
        found[1].append(milliseconds(plain, turn))
        found[2].append(milliseconds(reduced, turn))
    median = [statistics.median(times) for times in found]
    results = {
        "one frame, milliseconds": median[0],
        "one frame, the slowest, milliseconds": max(found[0]),
        "plain setData, times ours": median[1] / median[0],
        "automatic down-sampling, times ours": median[2] / median[0],
        "plain setData, milliseconds": median[1],
        "automatic down-sampling, milliseconds": median[2],
        "memory of a curve, megabytes": plot.curve("0").samples.bytes / 1e6,
    }
    for window in (plot, plain_plot, reduced_plot):
        window.close()
    if asked.json:
        print(json.dumps(results, indent=2))
        return
    for name, value in results.items():
        print(f"{name}: {value:.2f}")


if __name__ == "__main__":
    main()
