"""The instruments panel: instruments in groups, switched before or during a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from optlab.catalogue.instruments.base import Instrument
from optlab.core import registry
from optlab.gui.instruments.instrument_card import InstrumentCard
from optlab.gui.panels.run_caption import RunCaption
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.colors import PlotColors
from optlab.training.events import InstrumentCosts, InstrumentImage, SeriesBlock


class InstrumentsPanel(QScrollArea):
    """A card for each instrument, in two columns.

    Signals: ``switched(str, object)``: the user switched an instrument; its name, and its fields or
    None; ``pageRequested(str, str)``: kind and name.
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
        intro = PlainLabel(
            "Instruments observe a run. They never change the training, not even in the last bit."
        )
        intro.setWordWrap(True)
        intro.setProperty("role", "muted")
        self.caption = RunCaption()
        layout.addWidget(self.caption)
        layout.addWidget(intro)
        groups: dict[str, list[InstrumentCard]] = {}
        for component in registry.components("instrument"):
            card = InstrumentCard(cast(type[Instrument], component))
            card.switched.connect(self.switched)
            card.pageRequested.connect(self.pageRequested)
            self.cards[component.name] = card
            groups.setdefault(component.group, []).append(card)
        for title, cards in groups.items():
            heading = PlainLabel(title)
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

    def refresh(self) -> None:
        """Draw pending changes."""
        if self.isVisible():
            for card in self.cards.values():
                if card.on:
                    card.refresh()

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        for card in self.cards.values():
            card.set_colors(colors)
