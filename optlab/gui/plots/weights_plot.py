"""Weights over steps: those that have moved most so far, or those that the user follows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from optlab.gui.plots.colors import LIGHT, PlotColors, mixed
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.plot_frame import NOTHING_YET
from optlab.training.events import SeriesBlock, WeightPath

_DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 2.0))
"""Every second curve is dashed, so that twelve can be told apart."""
_NONE_FOLLOWED = (
    "No weights are followed: name some under Measures, or look at the largest-moving ones."
)


_SHOWN = 8
"""How many of the largest-moving weights are drawn: more cannot be told apart in a small plot."""


def short(name: str) -> str:
    """A weight's name for a legend: ``layers.1.weight[8,5]`` is ``W1[8,5]``, ``layers.1.bias[8]``
    is ``b1[8]``.
    """
    found = re.fullmatch(r"layers\.(\d+)\.(weight|bias)(\[.*\])", name)
    return f"{'W' if found[2] == 'weight' else 'b'}{found[1]}{found[3]}" if found else name


class WeightsPlot(QWidget):
    """Two plots and the choice between them.

    ``largest`` is fed from paths, few points over the whole run, ``followed`` from the series
    ``weights`` with a value of every step.
    """

    tile_title = "Weight trajectories"
    tile_row, tile_position = 1, 1

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Weights over steps")
        self._run = 0
        self._names: tuple[str, ...] = ()
        self._slots: dict[str, int] = {}
        self.largest, self.followed = CurvePlot("Weight"), CurvePlot("Weight")
        self.followed.empty_text = _NONE_FOLLOWED
        self.mode = QComboBox()
        self.mode.addItems(["Largest-moving", "Followed"])
        self.mode.setAccessibleName("Which weights are shown")
        self.mode.setToolTip(
            "Largest-moving: the weights farthest from where they began. Followed: the weights named in the experiment, at every step."
        )
        self.mode.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.mode.currentIndexChanged.connect(self._choose)
        self._caption = QLabel("Weights:")
        self._pages = QStackedWidget()
        self._pages.addWidget(self.largest)
        self._pages.addWidget(self.followed)
        head = QHBoxLayout()
        head.setContentsMargins(12, 2, 6, 0)
        head.addWidget(self._caption)
        head.addWidget(self.mode)
        head.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self._pages, 1)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.set_colors(LIGHT)

    def _choose(self, index: int) -> None:
        self._pages.setCurrentIndex(index)

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that are drawn."""
        return frozenset({"weights"})

    def set_run(self, run: int) -> None:
        """Which of several runs to show; what was shown is forgotten."""
        self._run = run
        self.clear()

    def set_followed(self, names: Sequence[str]) -> None:
        """Name the weights of the series ``weights``, in order."""
        self._names = tuple(names)
        self.followed.remove_all()
        for place, name in enumerate(self._names):
            self.followed.add_curve(str(place), short(name), place, dashes=_DASHES[place % 2])
            self.followed.legend.entry(str(place)).setToolTip(f"Show or hide {name}")
        self.followed.empty_text = "Nothing measured yet…" if names else _NONE_FOLLOWED
        self.followed.follow()

    def take(self, block: SeriesBlock) -> None:
        """Add a block's ``weights``: ``[n, R, K]``, or ``[n, K]`` of a single run."""
        series = block.series.get("weights")
        if series is None or not len(series.steps):
            return
        values = series.values if series.values.ndim == 3 else series.values[:, None, :]
        if self._run >= values.shape[1]:
            return
        for place in range(len(self._names), values.shape[2]):
            self.followed.add_curve(
                str(place), f"Weight {place + 1}", place, dashes=_DASHES[place % 2]
            )
        for place in range(values.shape[2]):
            self.followed.append(str(place), series.steps, values[:, self._run, place])

    def take_path(self, path: WeightPath) -> None:
        """Show the weights that moved most; one that stays among them keeps its color."""
        if path.run != self._run:
            return
        plot = self.largest
        moved = path.moved[:_SHOWN]
        for name in [name for name in self._slots if name not in moved]:
            plot.remove_curve(name)
            del self._slots[name]
        free = (slot for slot in range(len(moved)) if slot not in self._slots.values())
        for name in moved:
            if name not in self._slots:
                self._slots[name] = next(free)
                plot.add_curve(
                    name, short(name), self._slots[name], dashes=_DASHES[self._slots[name] % 2]
                )
                plot.legend.entry(name).setToolTip(f"Show or hide {name}")
        for column, name in enumerate(moved):
            plot.replace(name, path.steps, path.values[:, column])

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

    def refresh(self) -> None:
        """Draw what is pending in the plot that is shown."""
        self.largest.refresh()
        self.followed.refresh()

    def clear(self) -> None:
        """Forget the run that is shown; the names of followed weights stay."""
        self.largest.remove_all()
        self._slots.clear()
        self.largest.clear()
        self.followed.clear()

    def set_colors(self, colors: PlotColors) -> None:
        """Follow the theme."""
        self.setStyleSheet(f"WeightsPlot {{ background: {colors.background}; }}")
        self._caption.setStyleSheet(
            f"background: transparent; color: {mixed(colors.foreground, colors.background, 0.2)};"
        )
        self.largest.set_colors(colors)
        self.followed.set_colors(colors)
