"""The card of an instrument: a switch, its fields, its help page and its plots."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QSizePolicy,
    QSpacerItem,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
)

from optlab.catalogue.instruments.base import Instrument
from optlab.core.wording import in_sentence
from optlab.experiment.pages import sentence
from optlab.gui.forms.fields_form import FieldsForm
from optlab.gui.instruments.instrument_plot import InstrumentPlot
from optlab.gui.instruments.pictures import plot_of
from optlab.gui.plain_text import PlainLabel, plain
from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.curve_plot import CurvePlot
from optlab.gui.plots.result_plot import ResultPlot
from optlab.training.events import InstrumentImage, Series

MAX_CURVES = 12
"""Curves that are drawn of a quantity with many numbers: beyond, colors repeat."""


_PLOT_HEIGHT = 290
"""Height of its plots among the other cards, in logical pixels."""
_MIN_PLOT_HEIGHT = 120
_UNBOUNDED = 2**24 - 1
"""Qt's largest height."""


def _invitation(instrument: type[Instrument]) -> PlainLabel:
    label = PlainLabel(f"{sentence(instrument)} Tick the box to measure it.")
    label.setProperty("role", "muted")
    label.setWordWrap(True)
    label.setContentsMargins(10, 0, 10, 0)
    label.hide()
    return label


class InstrumentCard(QFrame):
    """An editor and display of one instrument.

    Signals: ``switched(str, object)``: its name, and its fields or None; ``pageRequested(str,
    str)``: kind and name; ``tileRequested(str)``: the user wants it as a tile of its own.
    """

    switched = Signal(str, object)
    pageRequested = Signal(str, str)
    tileRequested = Signal(str)

    def __init__(self, instrument: type[Instrument]) -> None:
        super().__init__()
        self.setObjectName("tile")
        self.instrument = instrument
        self._columns: dict[str, tuple[str, ...]] = {}
        self._labels = {quantity.name: quantity.label for quantity in instrument.gives}
        self.box = QCheckBox(instrument.label)
        self.box.setToolTip(plain(sentence(instrument)))
        self.cost = PlainLabel("")
        self.cost.setProperty("role", "muted")
        self.fields_button = self._button("⚙", "Schedule and fields of this instrument")
        self.fields_button.setCheckable(True)
        self.fields_button.setObjectName("toggle")
        label = in_sentence(instrument.label)
        self.tile_button = self._button("▣", f"Show {label} as a tile of its own")
        self.page_button = self._button("?", f"Explain {label}")
        self.form = FieldsForm(instrument, f"instruments.{instrument.name}")
        self.form.hide()
        self.problem = PlainLabel("")
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.about = _invitation(instrument)
        self._own = False
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setFixedHeight(_PLOT_HEIGHT)
        self.tabs.hide()
        self._plots: dict[str, CurvePlot] = {}
        self._picture: ResultPlot | None = None
        self._colors: PlotColors | None = None
        head = QHBoxLayout()
        head.setContentsMargins(10, 4, 4, 0)
        head.addWidget(self.box)
        head.addWidget(self.cost, 1)
        head.addWidget(self.fields_button)
        head.addWidget(self.tile_button)
        head.addWidget(self.page_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 6)
        layout.setSpacing(4)
        layout.addLayout(head)
        for widget in (self.form, self.problem, self.about, self.tabs):
            layout.addWidget(widget)
        self._column = layout
        self._room = QSpacerItem(0, 0, vData=QSizePolicy.Policy.Expanding)
        self._show_schedule()
        self.box.toggled.connect(lambda _on: self._switched())
        self.form.fieldEdited.connect(lambda _name: self._edited())
        self.fields_button.toggled.connect(self.form.setVisible)
        self.tile_button.clicked.connect(lambda: self.tileRequested.emit(instrument.name))
        self.page_button.clicked.connect(
            lambda: self.pageRequested.emit("instrument", instrument.name)
        )

    # --- interface --------------------------------------------------

    @property
    def plots(self) -> dict[str, CurvePlot]:
        """Plots by the name of the quantity; quantities of one axis share a plot.

        They are built on first access: most instruments are off, and plots take time to set up.
        """
        if not self._plots:
            shared: dict[str, InstrumentPlot] = {}
            for quantity in self.instrument.gives:
                label = quantity.axis or quantity.label
                if label not in shared:
                    name = self.instrument.name
                    shared[label] = InstrumentPlot(label, name, log_y=quantity.log)
                    self.tabs.addTab(shared[label], label)
                shared[label].add_quantity(quantity.name, quantity.label)
                self._plots[quantity.name] = shared[label]
            if self.instrument.draws:
                self._picture = ResultPlot()
                self.tabs.insertTab(0, self._picture, "Last reading")
                self.tabs.setTabToolTip(0, self.instrument.draws)
                self.tabs.setCurrentIndex(0)
            if self._colors is not None:
                self.set_colors(self._colors)
        return self._plots

    @property
    def picture(self) -> ResultPlot | None:
        """The plot of its images; None if it draws none."""
        return self._picture if self.plots else None

    @property
    def on(self) -> bool:
        """Whether the instrument is switched on."""
        return self.box.isChecked()

    def set_own_tile(self, own: bool) -> None:
        """Fill a tile of the board, without the frame that it has among other cards."""
        self.setObjectName("card" if own else "tile")
        self._own = own
        self.tile_button.setVisible(not own)
        self.about.setVisible(own and not self.on)
        if own:
            self.tabs.setMinimumHeight(_MIN_PLOT_HEIGHT)
            self.tabs.setMaximumHeight(_UNBOUNDED)
            self._column.addItem(self._room)
            self._column.setStretchFactor(self.tabs, 1)
        else:
            self.tabs.setFixedHeight(_PLOT_HEIGHT)
            self._column.removeItem(self._room)
            self._column.setStretchFactor(self.tabs, 0)
        self.style().unpolish(self)
        self.style().polish(self)

    def values(self) -> dict[str, Any]:
        """Return the values of its fields."""
        return self.form.values()

    def set_values(self, values: dict[str, Any] | None) -> None:
        """Switch it on with these fields, or with None off, without emitting ``switched``."""
        self.box.blockSignals(True)
        self.box.setChecked(values is not None)
        self.box.blockSignals(False)
        if values is not None:
            self.form.set_values({**self.form.values(), **values})
        self._show_schedule()
        self._show_plots()

    def show_problem(self, message: str) -> None:
        """Show why it cannot be switched on; "" hides the message."""
        self.problem.setText(message)
        self.problem.setVisible(bool(message))

    def set_cost(self, seconds: float, plain: float) -> None:
        """Show the measured cost of a reading.

        Args:
            seconds: duration of a reading. plain: duration of a plain training step.
        """
        every = self.form.values()["every"]
        share = f", {seconds / plain / every:.1%} of the training" if every and plain > 0.0 else ""
        steps = f"{seconds / plain:.1f} steps" if plain > 0.0 else f"{1000 * seconds:.1f} ms"
        self.cost.setText(f"a reading costs {steps}{share}")

    def clear(self) -> None:
        """Remove all values."""
        self._columns = {}
        for plot in self._plots.values():
            plot.remove_all()

    def add(self, quantity: str, series: Series) -> None:
        """Append values ``[n, R]`` or ``[n, R, K]`` of a quantity; only run 0 is drawn."""
        plot = self.plots[quantity]
        values = np.asarray(series.values)[:, 0]
        if values.ndim == 1:
            shared = [other for other, its in self.plots.items() if its is plot]
            plot.add_curve(quantity, self._labels[quantity], shared.index(quantity), strong=True)
            plot.append(quantity, series.steps, values)
            return
        names = (
            series.columns
            or self._columns.get(quantity)
            or tuple(str(number + 1) for number in range(values.shape[1]))
        )
        self._columns[quantity] = names
        for number, name in enumerate(names[: min(MAX_CURVES, values.shape[1])]):
            plot.add_curve(name, name, number, strong=True)
            plot.append(name, series.steps, values[:, number])

    def show_image(self, image: InstrumentImage) -> None:
        """Show the image of its last reading."""
        plot = plot_of(self.instrument.label, image.arrays)
        if self.picture is not None and plot is not None:
            self.picture.show_plot(plot)
            self.tabs.setTabText(0, f"Step {image.step:,}")

    def refresh(self) -> bool:
        """Draw pending changes, and return whether there were any."""
        drawn = [plot.refresh() for plot in self._plots.values()]
        if self._picture is not None:
            drawn.append(self._picture.refresh())
        return any(drawn)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self._colors = colors
        for plot in self._plots.values():
            plot.set_colors(colors)
        if self._picture is not None:
            self._picture.set_colors(colors)

    # --- editing --------------------------------------------------------------

    def _switched(self) -> None:
        self.show_problem("")
        self._show_plots()
        self.switched.emit(self.instrument.name, self.values() if self.on else None)

    def _show_plots(self) -> None:
        if self.on:
            self.plots  # noqa: B018 - builds the plots
        self.tabs.setVisible(self.on)
        self.about.setVisible(self._own and not self.on)

    def _edited(self) -> None:
        self._show_schedule()
        if self.on and not self.form.errors():
            self.switched.emit(self.instrument.name, self.values())

    def _show_schedule(self) -> None:
        every = self.form.values()["every"]
        when = (
            "on pause and at the end"
            if every == 0
            else "at every step"
            if every == 1
            else f"every {every:,} steps"
        )
        self.cost.setText(when)

    def _button(self, text: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setAutoRaise(True)
        return button
