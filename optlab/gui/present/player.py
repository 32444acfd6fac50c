"""The base of the players: each shows the tiles of one kind of scene and sets it going."""

from __future__ import annotations

from abc import abstractmethod

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from optlab.gui.panels.tile import Tile
from optlab.gui.plots.colors import PlotColors


class Player(QWidget):
    """One or two tiles side by side.

    Signals: ``said(str)``: a sentence about what is going on. ``stateChanged(str)``: ``ready``,
    ``running``, ``paused`` or ``ended``.
    """

    said = Signal(str)
    stateChanged = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.state = "ready"
        self.tiles: list[Tile] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._row = QHBoxLayout()
        self._row.setSpacing(12)
        self._column.addLayout(self._row, 1)

    def add_tile(self, title: str, widget: QWidget) -> None:
        """Add a tile at the right."""
        tile = Tile(title, widget)
        self.tiles.append(tile)
        self._row.addWidget(tile, 1)

    def show_tiles(self, count: int) -> None:
        """Show the first tile alone, or both."""
        for index, tile in enumerate(self.tiles):
            tile.setVisible(index < count)

    def set_state(self, state: str) -> None:
        """Set and announce the state."""
        if state != self.state:
            self.state = state
            self.stateChanged.emit(state)

    @abstractmethod
    def toggle(self) -> None:
        """Start, pause, or go on; what has ended begins again."""

    @abstractmethod
    def again(self) -> None:
        """Begin again."""

    @abstractmethod
    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of a projector."""

    def shut_down(self) -> None:
        """Stop what goes on for this player alone."""
