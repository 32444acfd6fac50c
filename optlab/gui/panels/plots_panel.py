"""The plots panel: the plots of a run as tiles of the board."""

# A protocol is no concrete class, and isinstance accepts it all the same.
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any, TypeVar, cast

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from optlab.gui.board.board import Board, TileKind
from optlab.gui.board.board_layout import BoardLayout, Column, Row
from optlab.gui.board.recent_values import RecentValues
from optlab.gui.board.tile_dock import TileDock
from optlab.gui.panels.run_caption import RunCaption
from optlab.gui.plots.colors import LIGHT, PlotColors
from optlab.gui.plots.tiles import (
    BoardPlot,
    DependsOnTask,
    DrawsPath,
    DrawsSeries,
    FollowsWeights,
    TilePlot,
    at_first,
    tile_key,
    tile_plots,
)
from optlab.gui.plots.value_export import ValueSource
from optlab.training.events import SeriesBlock, WeightPath

P = TypeVar("P")


class PlotsPanel(QWidget):
    """The board with all plots that declare a tile (:mod:`optlab.gui.plots.tiles`).

    Those that are there at first are built at once, the others when they are opened; each gets what
    the run that is shown has measured.

    Attributes:
        board: its tiles.
        head: the line above them, for the caption and buttons.

    Signals: ``plotAdded(object)``: a plot that was built because its tile was opened.
    """

    plotAdded = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.board = Board()
        self._plots: list[BoardPlot] = []
        self._of: dict[type, list[Any]] = {}
        self._followed: tuple[str, ...] | None = None
        self._colors: PlotColors = LIGHT
        self._task = self._path_note = ""
        self._path: WeightPath | None = None
        self._cursor: int | None = None
        self._source: ValueSource | None = None
        self._marks: list[tuple[int, str]] = []
        self.values = RecentValues(self)
        self._kinds = tile_plots()
        for kind in self._kinds:
            self.board.offer(
                TileKind(tile_key(kind), kind.tile_title, "Plots", partial(self._build, kind))
            )
        self.caption = RunCaption()
        self.head = QHBoxLayout()
        self.head.setContentsMargins(0, 0, 0, 0)
        self.head.setSpacing(4)
        self.head.addWidget(self.caption, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(self.head)
        layout.addWidget(self.board, 1)
        self.board.apply(BoardLayout("At first"), self.rows_at_first())

    def rows_at_first(self) -> tuple[Row, ...]:
        """Return the rows of the plots that are shown at first."""
        kinds = [kind for kind in self._kinds if at_first(kind)]
        return tuple(
            Row(tuple(Column((tile_key(kind),)) for kind in row))
            for _, row in groupby(kinds, lambda kind: kind.tile_row)
        )

    @property
    def tiles(self) -> list[TileDock]:
        """The tiles that are open, in the order in which they were opened."""
        return [self.board.tile(key) for key in self.board.keys]

    def add_plot(self, plot: BoardPlot) -> None:
        """Give a plot all that the run that is shown has measured, and what it will measure."""
        plot.set_colors(self._colors)
        if isinstance(plot, DependsOnTask) and self._task:
            plot.set_task(self._task)
        if isinstance(plot, FollowsWeights) and self._followed is not None:
            plot.set_followed(self._followed)
        if isinstance(plot, DrawsPath):
            plot.set_path_note(self._path_note)
            if self._path is not None:
                plot.show_path(self._path)
        if isinstance(plot, DrawsSeries):
            plot.set_value_source(self._source)
            for step, text in self._marks:
                plot.mark(step, text)
            plot.set_cursor(self._cursor)
            self.values.replay(plot)
        self._plots.append(plot)
        self._of.clear()
        self.plotAdded.emit(plot)

    def drop_plot(self, plot: BoardPlot) -> None:
        """Give a plot nothing any more."""
        self._plots.remove(plot)
        self._of.clear()

    def _build(self, kind: type[TilePlot]) -> QWidget:
        plot = kind()
        self.add_plot(plot)
        return cast(QWidget, plot)

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
        # Asking a protocol takes as long as drawing does, and a run asks at each block.
        if kind not in self._of:
            self._of[kind] = [plot for plot in self._plots if isinstance(plot, kind)]
        return list(self._of[kind])

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
        self.values.add(block)
        for plot in self.of(DrawsSeries):
            if not self.values.waits(plot):
                plot.add(block)

    def show_path(self, path: WeightPath) -> None:
        """Show the path of the weights up to now."""
        self._path = path
        for plot in self.of(DrawsPath):
            plot.show_path(path)

    def set_path_note(self, note: str) -> None:
        """Set the text to show while there is no path of the weights; "" for the default."""
        self._path_note = note
        for plot in self.of(DrawsPath):
            plot.set_path_note(note)

    def mark(self, step: int, text: str) -> None:
        """Mark a step in every plot over steps, because something changed there."""
        self._marks.append((step, text))
        for plot in self.of(DrawsSeries):
            plot.mark(step, text)

    def set_cursor(self, step: int | None) -> None:
        """Draw a line at the step that is looked at in every plot over steps; None for none."""
        self._cursor = step
        for plot in self.of(DrawsSeries):
            plot.set_cursor(step)

    def set_value_source(self, source: ValueSource | None) -> None:
        """Set where plots read values that they no longer keep; None for nowhere."""
        self._source = source
        self.values.set_source(source)
        for plot in self.of(DrawsSeries):
            plot.set_value_source(source)

    @property
    def plots(self) -> Sequence[BoardPlot]:
        """All plots of the panel."""
        return self._plots

    def refresh(self) -> None:
        """Draw what has arrived since the last frame."""
        for plot in self._plots:
            plot.refresh()

    def clear(self) -> None:
        """Remove the data of the run that is shown."""
        self.values.clear()
        self._marks.clear()
        self._path = self._source = None
        for plot in self._plots:
            plot.clear()

    def set_task(self, task: str) -> None:
        """Set the learning task: ``classes``, or ``regression``, which has no error or margin."""
        self._task = task
        for plot in self.of(DependsOnTask):
            plot.set_task(task)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of a theme."""
        self._colors = colors
        for plot in self._plots:
            plot.set_colors(colors)
