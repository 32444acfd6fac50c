"""The plots panel: the live plots of a run, each in a tile that can be made large."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from optlab.gui.panels.tile import Tile
from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.error_plot import ErrorPlot
from optlab.gui.plots.gradient_plot import GradientPlot
from optlab.gui.plots.loss_plot import LossPlot
from optlab.gui.plots.margin_plot import MarginPlot
from optlab.gui.plots.path_plot import PathPlot
from optlab.gui.plots.value_export import ValueSource
from optlab.gui.plots.weights_plot import WeightsPlot
from optlab.training.events import SeriesBlock, SessionStarted, WeightPath


class PlotsPanel(QWidget):
    """Loss, 0-1 error and margins above; gradient norms, weight trajectories and their path below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss, self.error, self.margin = LossPlot(), ErrorPlot(), MarginPlot()
        self.gradient, self.weights, self.path = GradientPlot(), WeightsPlot(), PathPlot()
        self._plots = (self.loss, self.error, self.gradient, self.weights, self.path, self.margin)
        titles = (
            "Loss",
            "0-1 error",
            "Gradient norms",
            "Weight trajectories",
            "Path in weight space",
            "Margins",
        )
        self.tiles = [
            Tile(title, plot, self._enlarge)
            for title, plot in zip(titles, self._plots, strict=True)
        ]
        self._rows = [QSplitter(Qt.Orientation.Horizontal), QSplitter(Qt.Orientation.Horizontal)]
        for row, tiles in zip(
            self._rows, ((*self.tiles[:2], self.tiles[5]), self.tiles[2:5]), strict=True
        ):
            row.setChildrenCollapsible(False)
            for tile in tiles:
                row.addWidget(tile)
            row.setSizes([1000] * len(tiles))
        columns = QSplitter(Qt.Orientation.Vertical)
        columns.setChildrenCollapsible(False)
        for row in self._rows:
            columns.addWidget(row)
        columns.setSizes([1000, 1000])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(columns)

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that are drawn on some plot."""
        return (
            self.loss.series
            | self.error.series
            | self.margin.series
            | self.gradient.series
            | self.weights.series
        )

    def begin(self, started: SessionStarted) -> None:
        """A run begins: name the followed weights."""
        self.weights.set_followed(started.tracked)

    def take(self, block: SeriesBlock) -> None:
        """New measurements."""
        for plot in (self.loss, self.error, self.margin, self.gradient, self.weights):
            plot.take(block)

    def take_path(self, path: WeightPath) -> None:
        """The path as it stands."""
        self.weights.take_path(path)
        self.path.take_path(path)

    def mark(self, step: int, text: str) -> None:
        """Mark a step in every plot over steps: something was changed there."""
        for plot in (self.loss, self.error, self.margin, self.gradient, self.weights):
            plot.mark(step, text)

    def set_value_source(self, source: ValueSource | None) -> None:
        """Set where plots read values that they no longer keep; None for nowhere."""
        for plot in (self.loss, self.error, self.margin, self.gradient, self.weights):
            plot.set_value_source(source)

    def refresh(self) -> None:
        """Draw what has come since the last frame."""
        for plot in self._plots:
            plot.refresh()

    def clear(self) -> None:
        """Forget the run that is shown."""
        for plot in self._plots:
            plot.clear()

    def set_task(self, task: str) -> None:
        """Whether there are a 0-1 error and margins to plot (``classes``) or none (``regression``)."""
        self.error.set_task(task)
        self.margin.set_task(task)

    def set_colors(self, colors: PlotColors) -> None:
        """Follow the theme."""
        for plot in self._plots:
            plot.set_colors(colors)

    def _enlarge(self, tile: Tile) -> None:
        alone = any(other.isHidden() for other in self.tiles)
        for other in self.tiles:
            other.setVisible(alone or other is tile)
        for row in self._rows:
            row.setVisible(alone or row.isAncestorOf(tile))
        tile.enlarge_button.setText("⤢" if alone else "⤡")
