"""The range test of the learning rate as a tile, with the suggested rate for the editor."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtWidgets import QLineEdit, QPushButton, QWidget

from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.before_run_tile import BeforeRunTile
from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.result_plot import ResultPlot
from optlab.studies.demonstrations.base import Axis, Curve, Plot, Scatter
from optlab.studies.tuning.range_test import FIRST, LAST, RangeProgress, RangeTest
from optlab.tasks.starting import RangeTask


class RangePlot(BeforeRunTile):
    """Loss against a rate that rises through one short run."""

    tile_title = "Learning-rate range test"
    tile_row, tile_position = 13, 1
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Learning-rate range test")
        self.found: RangeTest | None = None
        self.first, self.last = QLineEdit(f"{FIRST:g}"), QLineEdit(f"{LAST:g}")
        self.first.setAccessibleName("First rate")
        self.last.setAccessibleName("Last rate")
        for label, field in (("From", self.first), ("to", self.last)):
            field.setMinimumWidth(field.fontMetrics().horizontalAdvance("0.00001") + 20)
            field.setMaximumWidth(90)
            field.returnPressed.connect(self.start)
            self.head.addWidget(PlainLabel(label))
            self.head.addWidget(field)
        self.run_button = QPushButton("Run")
        self.run_button.setAccessibleName("Run the range test")
        self.run_button.setToolTip("Take up to 200 steps of the experiment; nothing is stored")
        self.run_button.clicked.connect(self._clicked)
        self.head.addWidget(self.run_button)
        self.head.addStretch(1)
        self.use_button = QPushButton("Use")
        self.use_button.setAccessibleName("Use the suggested rate")
        self.use_button.setEnabled(False)
        self.use_button.clicked.connect(self._use)
        self.head.addWidget(self.use_button)
        self.plot = ResultPlot()
        self.plots.addWidget(self.plot, 1)

    def start(self) -> None:
        """Start a range test of the experiment in the editor."""
        try:
            first, last = float(self.first.text()), float(self.last.text())
        except ValueError:
            self.words.setText(
                f"The range is {self.first.text()!r} to {self.last.text()!r}, but both rates must "
                "be numbers, such as 1e-6 and 10."
            )
            return
        if self.experiment is None:
            self.words.setText("The experiment is not valid yet: see the message in the editor.")
            return
        self.words.setText("Raising the rate…")
        self.run_button.setText("Cancel")
        self.request(RangeTask(self.experiment.to_toml(), first, last))

    def _clicked(self) -> None:
        if self.busy:
            self.words.setText("Cancelled.")
            self.cancelRequested.emit()
        else:
            self.start()

    def show_result(self, result: RangeProgress | RangeTest) -> None:
        """Say how far it is, or draw the curve."""
        if isinstance(result, RangeProgress):
            self.words.setText(f"Raising the rate… {result.done:.0%}")
            return
        self.found = result
        self.words.setText(result.explanation)
        self.plot.show_plot(curve(result))
        self.use_button.setText(f"Use {self.suggestion:g}")
        self.use_button.setEnabled(True)

    @property
    def suggestion(self) -> float:
        """The suggested rate, as it is shown and put into the editor; NaN before a test."""
        return math.nan if self.found is None else float(f"{self.found.steepest:.3g}")

    def _use(self) -> None:
        self.changesRequested.emit({"optimizer.lr": self.suggestion})

    def show_end(self) -> None:
        """Let the next test be started."""
        super().show_end()
        self.run_button.setText("Run")

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        super().set_colors(colors)
        if hasattr(self, "plot"):
            self.plot.set_colors(colors)

    def refresh(self) -> bool:
        """Draw what is pending, and return whether there was anything."""
        return self.plot.refresh()


def curve(found: RangeTest) -> Plot:
    """Return the losses over the rates, with the suggestion, the minimum and the edge marked."""
    marks = {"Suggested": found.steepest, "Minimum": found.lowest}
    if found.edge is not None:
        marks["Instability, estimated"] = found.edge
    return Plot(
        "Range test",
        Axis("Learning rate", log=True),
        Axis("Loss on the batch", log=bool((found.losses > 0.0).all())),
        curves=(
            Curve("Smoothed", found.rates, found.smoothed, style="path"),
            Curve("Of each batch", found.rates, found.losses, style="predicted"),
        ),
        scatters=tuple(
            Scatter(
                name,
                np.array([rate]),
                np.array([float(np.interp(rate, found.rates, found.smoothed))]),
            )
            for name, rate in marks.items()
        ),
    )
