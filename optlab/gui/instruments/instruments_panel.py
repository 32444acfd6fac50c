"""The instruments of a run, in groups: switched before it starts, while it goes, or on a pause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from optlab.catalogue.instruments.base import Instrument
from optlab.core import registry
from optlab.gui.instruments.instrument_card import InstrumentCard
from optlab.gui.plots.colors import PlotColors
from optlab.training.events import InstrumentCosts, InstrumentImage, SeriesBlock


class InstrumentsPanel(QScrollArea):
    """A card for each instrument, two in a row.

    Signals: ``switched(str, object)``: an instrument was switched by the user: its name, and its
    fields or None; ``pageRequested(str, str)``.
    """

    switched = Signal(str, object)
    pageRequested = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("experimentScroll")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.cards: dict[str, InstrumentCard] = {}
        column = QWidget()
        column.setObjectName("experimentColumn")
        layout = QVBoxLayout(column)
        layout.setContentsMargins(0, 0, 8, 8)
        layout.setSpacing(8)
        words = QLabel(
            "Instruments look at a run beside it: whatever is switched on, the training stays the same to the last bit."
        )
        words.setWordWrap(True)
        words.setProperty("role", "muted")
        layout.addWidget(words)
        groups: dict[str, list[InstrumentCard]] = {}
        for component in registry.components("instrument"):
            card = InstrumentCard(cast(type[Instrument], component))
            card.switched.connect(self.switched)
            card.pageRequested.connect(self.pageRequested)
            self.cards[component.name] = card
            groups.setdefault(component.group, []).append(card)
        for title, cards in groups.items():
            heading = QLabel(title)
            heading.setObjectName("tileTitle")
            layout.addWidget(heading)
            grid = QGridLayout()
            grid.setSpacing(8)
            for number, card in enumerate(cards):
                grid.addWidget(card, number // 2, number % 2, Qt.AlignmentFlag.AlignTop)
                grid.setColumnStretch(number % 2, 1)
            grid.setColumnStretch(1, 1)
            layout.addLayout(grid)
        layout.addStretch(1)
        self.setWidget(column)

    def tables(self) -> dict[str, dict[str, Any]]:
        """The section ``instruments`` of an experiment: those that are on."""
        return {name: card.values() for name, card in self.cards.items() if card.on}

    def set_tables(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Show which are on, without saying that they were switched."""
        for name, card in self.cards.items():
            card.say("")
            card.set_values(dict(tables[name]) if name in tables else None)

    def say(self, name: str, sentence: str) -> None:
        """Say why an instrument cannot be switched on, and switch it off."""
        if name in self.cards:
            self.cards[name].set_values(None)
            self.cards[name].say(sentence)

    def clear(self) -> None:
        """Another run: forget what was shown."""
        for card in self.cards.values():
            card.clear()

    def take(self, block: SeriesBlock) -> None:
        """New measurements."""
        for series, values in block.series.items():
            name, dot, quantity = series.partition(".")
            if (
                dot
                and name in self.cards
                and quantity in {given.name for given in self.cards[name].instrument.gives}
            ):
                self.cards[name].take(quantity, values)

    def take_picture(self, pictured: InstrumentImage) -> None:
        """What an instrument drew."""
        if pictured.run == 0 and pictured.name in self.cards:
            self.cards[pictured.name].take_picture(pictured)

    def take_costs(self, costed: InstrumentCosts) -> None:
        """What instruments were measured to cost."""
        for name, seconds in costed.readings.items():
            if name in self.cards:
                self.cards[name].set_cost(seconds, costed.plain)

    def refresh(self) -> None:
        """Draw what has come since the last frame."""
        if self.isVisible():
            for card in self.cards.values():
                if card.on:
                    card.refresh()

    def set_colors(self, colors: PlotColors) -> None:
        """Follow the theme."""
        for card in self.cards.values():
            card.set_colors(colors)
