"""The plots panel: the live plots of a run, each in a tile that can be enlarged."""

# A protocol is no concrete class, and isinstance accepts it all the same.
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from optlab.gui.panels.run_caption import RunCaption
from optlab.gui.panels.tile import Tile
from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.tiles import (
    DependsOnTask,
    DrawsPath,
    DrawsSeries,
    FollowsWeights,
    at_first,
    tile_plots,
)
from optlab.gui.plots.value_export import ValueSource
from optlab.training.events import SeriesBlock, WeightPath

P = TypeVar("P")

_MIN_TILE_HEIGHT = 180
"""Pixels below which a plot is not readable; the panel then scrolls."""


class PlotsPanel(QWidget):
    """All plots that declare a tile (:mod:`optlab.gui.plots.tiles`), in rows.

    Signals: ``plotAdded(object)``: a plot that was built because its tile was opened.
    """

    plotAdded = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plots = [kind() for kind in tile_plots() if at_first(kind)]
        self._followed: tuple[str, ...] | None = None
        self.tiles: list[Tile] = []
        self._rows: dict[int, QSplitter] = {}
        columns = _splitter(Qt.Orientation.Vertical)
        for plot in self._plots:
            tile = Tile(plot.tile_title, cast(QWidget, plot), self._enlarge)
            tile.setMinimumHeight(_MIN_TILE_HEIGHT)
            self.tiles.append(tile)
            if plot.tile_row not in self._rows:
                self._rows[plot.tile_row] = _splitter(Qt.Orientation.Horizontal)
                columns.addWidget(self._rows[plot.tile_row])
            self._rows[plot.tile_row].addWidget(tile)
        for splitter in (columns, *self._rows.values()):
            splitter.setSizes([1000] * splitter.count())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.caption = RunCaption()
        layout.addWidget(self.caption)
        layout.addWidget(columns, 1)

    @property
    def series(self) -> frozenset[str]:
        """Names of the series that some plot draws."""
        return frozenset().union(*(plot.series for plot in self.of(DrawsSeries)))

    def plot(self, kind: type[P]) -> P:
        """Return the plot of a class.

        Raises:
            KeyError: the panel has no plot of this class.
        """
        for plot in self.of(kind):
            return plot
        raise KeyError(kind.__name__)

    def of(self, kind: type[P]) -> list[P]:
        """Return the plots of a class, or with the methods of a protocol."""
        return [plot for plot in self._plots if isinstance(plot, kind)]

    def set_followed(self, names: Sequence[str]) -> None:
        """Name the followed weights, in the order of their values.

        Other names than before remove the curves of the followed weights.
        """
        if tuple(names) == self._followed:
            return
        self._followed = tuple(names)
        for plot in self.of(FollowsWeights):
            plot.set_followed(names)

    def add(self, block: SeriesBlock) -> None:
        """Add the values of a block, series ``[n, R]``, to the plots."""
        for plot in self.of(DrawsSeries):
            plot.add(block)

    def show_path(self, path: WeightPath) -> None:
        """Show the path of the weights up to now."""
        for plot in self.of(DrawsPath):
            plot.show_path(path)

    def set_path_note(self, note: str) -> None:
        """Set the text to show while there is no path of the weights; "" for the default."""
        for plot in self.of(DrawsPath):
            plot.set_path_note(note)

    def mark(self, step: int, text: str) -> None:
        """Mark a step in every plot over steps, because something changed there."""
        for plot in self.of(DrawsSeries):
            plot.mark(step, text)

    def set_cursor(self, step: int | None) -> None:
        """Draw a line at the step that is looked at in every plot over steps; None for none."""
        for plot in self.of(DrawsSeries):
            plot.set_cursor(step)

    def set_value_source(self, source: ValueSource | None) -> None:
        """Set where plots read values that they no longer keep; None for nowhere."""
        for plot in self.of(DrawsSeries):
            plot.set_value_source(source)

    def refresh(self) -> None:
        """Draw what has arrived since the last frame."""
        for plot in self._plots:
            plot.refresh()

    def clear(self) -> None:
        """Remove the data of the run that is shown."""
        for plot in self._plots:
            plot.clear()

    def set_task(self, task: str) -> None:
        """Set the learning task: ``classes``, or ``regression``, which has no error or margin."""
        for plot in self.of(DependsOnTask):
            plot.set_task(task)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of a theme."""
        for plot in self._plots:
            plot.set_colors(colors)

    def _enlarge(self, tile: Tile) -> None:
        alone = any(other.isHidden() for other in self.tiles)
        for other in self.tiles:
            other.setVisible(alone or other is tile)
        for row in self._rows.values():
            row.setVisible(alone or row.isAncestorOf(tile))
        tile.enlarge_button.setText("⤢" if alone else "⤡")


def _splitter(orientation: Qt.Orientation) -> QSplitter:
    splitter = QSplitter(orientation)
    splitter.setChildrenCollapsible(False)
    return splitter
