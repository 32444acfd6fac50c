"""What initializers do layer by layer, as a tile: no run is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from optlab.core import registry
from optlab.experiment import Experiment
from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.plots.before_run_tile import BeforeRunTile
from optlab.gui.plots.colors import PlotColors
from optlab.gui.plots.result_plot import ResultPlot
from optlab.studies.demonstrations.base import Axis, Curve, Plot
from optlab.studies.tuning.start_table import Spread, StartTable
from optlab.tasks.starting import StartTables, StartTask

_DELAY_MILLISECONDS = 500
"""Time for which the experiment has to stay as it is before it is looked at."""
_COUNTS = ("dataset", "model", "loss", "initializer", "pretraining", "batches", "general")
"""Parts of an experiment that its start depends on."""
_USUAL = ("fan_in", "he", "orthogonal")
"""Initializers that are compared at first."""
_MANY_DEAD = 0.005
"""Share of dead units from which it is said."""


class StartPlot(BeforeRunTile):
    """Standard deviations of activations and of the gradients by them, layer by layer."""

    tile_title = "Start, layer by layer"
    tile_row, tile_position = 13, 0
    tile_at_first = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("What initializers do layer by layer")
        self.tables: tuple[StartTable, ...] = ()
        self.compare = QToolButton()
        self.compare.setText("Compare with")
        self.compare.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.compare.setToolTip("Other initializers, each with its default fields")
        menu = QMenu(self.compare)
        for name in registry.names("initializer"):
            action = menu.addAction(name.replace("_", " "))
            action.setData(name)
            action.setCheckable(True)
            action.setChecked(name in _USUAL)
            action.toggled.connect(self._soon)
        self.compare.setMenu(menu)
        self.caption = ElidedLabel("")
        self.head.addWidget(self.caption, 1)
        self.head.addWidget(self.compare)
        self.forward, self.backward = ResultPlot(), ResultPlot()
        for plot in (self.forward, self.backward):
            self.plots.addWidget(plot, 1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._ask)
        self._asked: tuple[object, ...] | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the initializers that are compared."""
        return tuple(
            str(action.data()) for action in self.compare.menu().actions() if action.isChecked()
        )

    def set_experiment(self, experiment: Experiment | None) -> None:
        """Look at the start of another experiment, when the editor has come to rest."""
        super().set_experiment(experiment)
        self._soon()

    def _soon(self) -> None:
        if self.isVisible() and self.experiment is not None:
            self._timer.start(_DELAY_MILLISECONDS)

    def _ask(self) -> None:
        if self.experiment is None or not self.isVisible():
            return
        own = self.experiment.initializer.name
        others = tuple(name for name in self.others if name != own)
        asked = (*(getattr(self.experiment, name) for name in _COUNTS), others)
        if asked != self._asked:
            self._asked = asked
            self.caption.setText("Drawing the weights…")
            self.request(StartTask(self.experiment.to_toml(), others))

    def show_problem(self, sentence: str) -> None:
        """Show why there is no start, and try again when it is asked for."""
        super().show_problem(sentence)
        self._asked = None
        self.caption.setText("")

    def show_result(self, result: StartTables) -> None:
        """Draw the tables."""
        self.tables = result.tables
        own = result.tables[0]
        self.caption.setText(f"first minibatch, {own.examples:,} examples")
        self.forward.show_plot(
            plot(result.tables, "Activations: standard deviation", lambda table: table.activations)
        )
        self.backward.show_plot(
            plot(
                result.tables,
                "Gradient of each example by activations",
                lambda table: table.backward,
            )
        )
        names = [spread.name for spread in own.activations]
        words = ["Layers: " + ", ".join(f"{k} {name}" for k, name in enumerate(names, 1)) + "."]
        words += [_dead(table) for table in result.tables]
        words += [f"{name}: {problem}" for name, problem in result.problems]
        self.words.setText(" ".join(filter(None, words)))

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        super().set_colors(colors)
        if hasattr(self, "forward"):
            self.forward.set_colors(colors)
            self.backward.set_colors(colors)

    def refresh(self) -> bool:
        """Draw what is pending, and return whether there was anything."""
        return any([self.forward.refresh(), self.backward.refresh()])


def plot(
    tables: tuple[StartTable, ...], label: str, part: Callable[[StartTable], tuple[Spread, ...]]
) -> Plot:
    """Return the standard deviations of a part of each table, over the layers of the first."""
    places = {spread.name: float(k) for k, spread in enumerate(tables[0].activations, 1)}
    curves = []
    for number, table in enumerate(tables):
        spreads = [spread for spread in part(table) if spread.name in places]
        name = f"{_called(table)}, chosen" if number == 0 else _called(table)
        curves.append(
            Curve(
                name,
                np.array([places[spread.name] for spread in spreads]),
                np.array([spread.std for spread in spreads]),
            )
        )
    return Plot(label, Axis("Layer"), Axis(label, log=True), curves=tuple(curves))


def _called(table: StartTable) -> str:
    return registry.get("initializer", table.initializer).short_label()


def _dead(table: StartTable) -> str:
    """Return which layer has most dead units, "" where hardly any are."""
    if not table.activations or max(spread.std for spread in table.activations) == 0.0:
        return f"{_called(table)}: every activation is 0, which a logarithmic axis leaves out."
    name, share = max(table.dead.items(), key=lambda entry: entry[1])
    if share < _MANY_DEAD:
        return ""
    return f"{_called(table)}: {share:.0%} of {name} dead."
