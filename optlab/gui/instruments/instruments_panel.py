"""The instruments panel: instruments in groups, switched before or during a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from optlab.catalogue.instruments.base import Instrument
from optlab.core import registry
from optlab.gui.instruments.instrument_card import InstrumentCard
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.colors import PlotColors
from optlab.training.events import InstrumentCosts, InstrumentImage, SeriesBlock

_MAX_COLUMNS = 2
_CARD_WIDTH = 370
"""Pixels that the heading of a card needs."""


class InstrumentsPanel(QScrollArea):
    """A card for each instrument, in two columns, or in one where there is little room.

    Signals: ``switched(str, object)``: the user switched an instrument; its name, and its fields or
    None; ``pageRequested(str, str)``: kind and name; ``tileRequested(str)``: the user wants the card
    of an instrument as a tile of its own.
    """

    switched = Signal(str, object)
    pageRequested = Signal(str, str)
    tileRequested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slots: dict[str, _Slot] = {}
        self._grids: list[tuple[QGridLayout, list[_Slot]]] = []
        self._columns = 0
        self.setObjectName("experimentScroll")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.cards: dict[str, InstrumentCard] = {}
        column = QWidget()
        column.setObjectName("experimentColumn")
        layout = QVBoxLayout(column)
        layout.setContentsMargins(10, 4, 8, 8)
        layout.setSpacing(8)
        intro = PlainLabel(
            "Instruments observe a run. They never change the training, not even in the last bit."
        )
        intro.setWordWrap(True)
        intro.setProperty("role", "muted")
        layout.addWidget(intro)
        groups: dict[str, list[InstrumentCard]] = {}
        for component in registry.components("instrument"):
            card = InstrumentCard(cast(type[Instrument], component))
            card.switched.connect(self.switched)
            card.pageRequested.connect(self.pageRequested)
            card.tileRequested.connect(self.tileRequested)
            self.cards[component.name] = card
            groups.setdefault(component.group, []).append(card)
        for title, cards in groups.items():
            heading = PlainLabel(title)
            heading.setObjectName("tileTitle")
            layout.addWidget(heading)
            grid = QGridLayout()
            grid.setSpacing(8)
            self._grids.append((grid, [_Slot(card) for card in cards]))
            self._slots.update((slot.name, slot) for slot in self._grids[-1][1])
            layout.addLayout(grid)
        layout.addStretch(1)
        self._arrange(_MAX_COLUMNS)
        self.setWidget(column)

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        """Arrange the cards in as many columns as there is room for."""
        super().resizeEvent(event)
        self._arrange(max(1, min(_MAX_COLUMNS, self.viewport().width() // _CARD_WIDTH)))

    def _arrange(self, columns: int) -> None:
        if columns == self._columns:
            return
        self._columns = columns
        for grid, slots in self._grids:
            for number, slot in enumerate(slots):
                row, column = divmod(number, columns)
                grid.addWidget(slot, row, column, Qt.AlignmentFlag.AlignTop)
            for column in range(_MAX_COLUMNS):
                grid.setColumnStretch(column, int(column < columns))

    def lend(self, name: str) -> InstrumentCard:
        """Return the card of an instrument for a tile of its own; its place says where it is.

        Raises:
            KeyError: there is no such instrument.
        """
        card = self.cards[name]
        self._slots[name].empty()
        card.set_own_tile(True)
        return card

    def accept(self, name: str) -> None:
        """Put the card of an instrument back into its place."""
        self.cards[name].set_own_tile(False)
        self._slots[name].fill()

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return the section ``instruments`` of an experiment: the fields of those switched on."""
        return {name: card.values() for name, card in self.cards.items() if card.on}

    def set_tables(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Set which instruments are on, without emitting ``switched``."""
        for name, card in self.cards.items():
            card.show_problem("")
            card.set_values(dict(tables[name]) if name in tables else None)

    def show_problem(self, name: str, message: str) -> None:
        """Switch an instrument off and show why it cannot be used."""
        if name in self.cards:
            self.cards[name].set_values(None)
            self.cards[name].show_problem(message)

    def clear(self) -> None:
        """Remove all values and images, before another run."""
        for card in self.cards.values():
            card.clear()

    def add(self, block: SeriesBlock) -> None:
        """Append the values of a block."""
        for series, values in block.series.items():
            name, dot, quantity = series.partition(".")
            if (
                dot
                and name in self.cards
                and quantity in {given.name for given in self.cards[name].instrument.gives}
            ):
                self.cards[name].add(quantity, values)

    def show_image(self, image: InstrumentImage) -> None:
        """Show the image of an instrument."""
        if image.run == 0 and image.name in self.cards:
            self.cards[image.name].show_image(image)

    def show_costs(self, costs: InstrumentCosts) -> None:
        """Show the measured costs of instruments."""
        for name, seconds in costs.readings.items():
            if name in self.cards:
                self.cards[name].set_cost(seconds, costs.plain)

    @property
    def visible_cards(self) -> list[InstrumentCard]:
        """The cards whose plots can be seen."""
        return [card for card in self.cards.values() if card.on and card.isVisible()]

    def refresh(self) -> None:
        """Draw pending changes."""
        for card in self.visible_cards:
            card.refresh()

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        for card in self.cards.values():
            card.set_colors(colors)


class _Slot(QWidget):
    """The place of a card, which says so while the card is elsewhere."""

    def __init__(self, card: InstrumentCard) -> None:
        super().__init__()
        self.name = card.instrument.name
        self._card = card
        self._note = PlainLabel(f"{card.instrument.label}: on the board, in a tile of its own")
        self._note.setProperty("role", "muted")
        self._note.setWordWrap(True)
        self._note.hide()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self._note)
        self._column.addWidget(card)

    def empty(self) -> None:
        self._column.removeWidget(self._card)
        self._card.setParent(None)
        self._note.show()

    def fill(self) -> None:
        self._note.hide()
        self._column.addWidget(self._card)
        self._card.show()
