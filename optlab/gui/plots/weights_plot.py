"""Weights over steps: those that moved most so far, or those that the user follows."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from optlab.gui.plain_text import PlainLabel, plain
from optlab.gui.plots.colors import LIGHT, PlotColors, mixed
from optlab.gui.plots.curve import Floats
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.plot_frame import NOTHING_YET
from optlab.gui.plots.value_export import StoredReader, ValueSource
from optlab.training.events import SeriesBlock, WeightPath

_DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 2.0))
"""Every second curve is dashed, so that twelve can be distinguished."""
_NO_FOLLOWED_WEIGHTS = (
    "No weights are followed: name some under Measures, or show the largest-moving ones."
)


_MAX_SHOWN = 8
"""Number of largest-moving weights that are drawn: more cannot be distinguished in a small plot."""


_GAP_SHARE = 1 / 8
"""Points of a path farther apart than this share of all steps are not connected …"""
_GAP_FACTOR = 4.0
"""… if they are also this many times as far apart as usual."""


def short(name: str) -> str:
    """Return a short name of a weight for a legend.

    ``layers.1.weight[8,5]`` becomes ``W1[8,5]``, ``layers.1.bias[8]`` becomes ``b1[8]``.
    """
    match = re.fullmatch(r"layers\.(\d+)\.(weight|bias)(\[.*\])", name)
    return f"{'W' if match[2] == 'weight' else 'b'}{match[1]}{match[3]}" if match else name


def with_gaps(steps: NDArray[np.int64], values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return steps and values ``[m]`` with NaN wherever points ``[n]`` are missing.

    A straight line over a large part of the run would pass for measured values.
    """
    if len(steps) < 3:
        return steps, values
    distances = np.diff(steps)
    wide = (distances > _GAP_SHARE * (steps[-1] - steps[0])) & (
        distances > _GAP_FACTOR * np.median(distances)
    )
    before = np.flatnonzero(wide) + 1
    return (
        np.insert(steps, before, steps[before - 1] + 1),
        np.insert(values.astype(np.float64), before, np.nan),
    )


class _FollowedPlot(CurvePlot):
    """Curves of the series ``weights`` of one run; keys are indices of its columns."""

    row = 0

    def _stored_reader(self, key: str) -> StoredReader:
        source, row = self._value_source, self.row

        def read() -> tuple[NDArray[np.int64], Floats] | None:
            stored = None if source is None else source("weights", row)
            return None if stored is None else (stored[0], stored[1][:, int(key)])

        return read


class WeightsPlot(QWidget):
    """Two plots and a choice between them.

    ``largest`` shows paths with few points over the entire run, ``followed`` the series ``weights``
    with a value at every step.
    """

    tile_title = "Weight trajectories"
    tile_row, tile_position = 1, 1

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Weights over steps")
        self._run = 0
        self._names: tuple[str, ...] = ()
        self._slots: dict[str, int] = {}
        self.largest, self.followed = CurvePlot("Weight"), _FollowedPlot("Weight")
        self.largest.setAccessibleName("Largest-moving weights over the steps")
        self.followed.setAccessibleName("Followed weights over the steps")
        self.followed.empty_text = _NO_FOLLOWED_WEIGHTS
        self.mode = QComboBox()
        self.mode.addItems(["Largest-moving", "Followed"])
        self.mode.setAccessibleName("Which weights are shown")
        self.mode.setToolTip(
            "Largest-moving: the weights farthest from their initial values. Followed: the weights "
            "named in the experiment, at every step."
        )
        self.mode.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.mode.currentIndexChanged.connect(self._choose)
        self._caption = PlainLabel("Weights:")
        self._stack = QStackedWidget()
        self._stack.addWidget(self.largest)
        self._stack.addWidget(self.followed)
        head = QHBoxLayout()
        head.setContentsMargins(12, 2, 6, 0)
        head.setSpacing(6)
        head.addWidget(self._caption)
        head.addWidget(self.mode)
        head.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self._stack, 1)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.set_colors(LIGHT)

    def _choose(self, index: int) -> None:
        self._stack.setCurrentIndex(index)

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that are drawn."""
        return frozenset({"weights"})

    def set_run(self, run: int) -> None:
        """Select one of several runs and remove all samples."""
        self._run = self.followed.row = run
        self.clear()

    def set_followed(self, names: Sequence[str]) -> None:
        """Name the weights of the series ``weights``, in order."""
        self._names = tuple(names)
        self.followed.remove_all()
        for index, name in enumerate(self._names):
            self.followed.add_curve(str(index), short(name), index, dashes=_DASHES[index % 2])
            self.followed.legend.entry(str(index)).setToolTip(plain(f"Show or hide {name}"))
        self.followed.empty_text = NOTHING_YET if names else _NO_FOLLOWED_WEIGHTS
        self.followed.follow()

    def add(self, block: SeriesBlock) -> None:
        """Append the series ``weights`` of a block: ``[n, R, K]``, or ``[n, K]`` of one run."""
        series = block.series.get("weights")
        if series is None or not len(series.steps):
            return
        values = series.values if series.values.ndim == 3 else series.values[:, None, :]
        if self._run >= values.shape[1]:
            return
        for index in range(len(self._names), values.shape[2]):
            self.followed.add_curve(
                str(index), f"Weight {index + 1}", index, dashes=_DASHES[index % 2]
            )
        for index in range(values.shape[2]):
            self.followed.append(str(index), series.steps, values[:, self._run, index])

    def show_path(self, path: WeightPath) -> None:
        """Show the weights that moved most; a weight that is still among them keeps its color."""
        if path.run != self._run:
            return
        plot = self.largest
        moved = path.moved[:_MAX_SHOWN]
        self._slots = {
            name: slot for name, slot in self._slots.items() if name in moved and slot < len(moved)
        }
        free = iter(sorted(set(range(len(moved))) - set(self._slots.values())))
        for name in moved:
            if name not in self._slots:
                self._slots[name] = next(free)
                self._name(str(self._slots[name]), name)
        for slot in range(len(moved), len(plot.keys)):
            plot.remove_curve(str(slot))
        for column, name in enumerate(moved):
            key = str(self._slots[name])
            plot.replace(key, *with_gaps(path.steps, path.values[:, column]))

    def _name(self, key: str, name: str) -> None:
        """Give a curve of a weight that moved much to another one, and show it.

        To remove it and to add another takes as long as to draw the whole plot.
        """
        plot, slot = self.largest, int(key)
        plot.add_curve(key, short(name), slot, dashes=_DASHES[slot % 2])
        plot.curve(key).label = short(name)
        plot.legend.entry(key).rename(short(name), name)
        plot.set_curve_visible(key, True)

    def set_value_source(self, source: ValueSource | None) -> None:
        """Set where values are read that the plots no longer keep; None for nowhere."""
        self.followed.set_value_source(source)

    def set_path_note(self, note: str) -> None:
        """Set the text to show in place of the largest-moving weights; "" for the default.

        With a text, the followed weights are shown instead, if there are any.
        """
        self.largest.empty_text = note or NOTHING_YET
        self.largest.follow()
        if note and self._names:
            self.mode.setCurrentIndex(1)

    def mark(self, step: float, text: str) -> None:
        """Mark a step in both plots."""
        self.largest.mark(step, text)
        self.followed.mark(step, text)

    def set_cursor(self, step: float | None) -> None:
        """Draw a line at the step that is looked at in both plots; None for none."""
        self.largest.set_cursor(step)
        self.followed.set_cursor(step)

    def refresh(self) -> bool:
        """Draw pending changes in the visible plot, and return whether there were any."""
        return any([self.largest.refresh(), self.followed.refresh()])

    def clear(self) -> None:
        """Remove all samples; the names of followed weights stay."""
        self.largest.remove_all()
        self._slots.clear()
        self.largest.clear()
        self.followed.clear()

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self.setStyleSheet(f"WeightsPlot {{ background: {colors.background}; }}")
        self._caption.setStyleSheet(
            f"background: transparent; color: {mixed(colors.foreground, colors.background, 0.2)};"
        )
        self.largest.set_colors(colors)
        self.followed.set_colors(colors)
