"""The base of tiles that ask something of the experiment in the editor, without a run."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from optlab.experiment import Experiment
from optlab.gui.plain_text import PlainLabel
from optlab.gui.plots.colors import LIGHT, PlotColors, mixed


class BeforeRunTile(QWidget):
    """A tile with a head of fields and buttons, plots side by side, and text below them.

    Signals: ``taskRequested(object)``: a task to execute; ``cancelRequested()``: it is to end;
    ``changesRequested(object)``: path → value, to be put into the editor.
    """

    taskRequested = Signal(object)
    cancelRequested = Signal()
    changesRequested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colors = LIGHT
        self.experiment: Experiment | None = None
        self.busy = False
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setObjectName("beforeRunTile")
        self.head = QHBoxLayout()
        self.head.setSpacing(6)
        self.head.setContentsMargins(10, 2, 8, 2)
        self.plots = QHBoxLayout()
        self.plots.setSpacing(0)
        self.words = PlainLabel("")
        self.words.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self.head)
        layout.addLayout(self.plots, 1)
        layout.addWidget(self.words)
        self.set_colors(self.colors)

    def set_experiment(self, experiment: Experiment | None) -> None:
        """Set the experiment in the editor; None while it is invalid."""
        self.experiment = experiment

    def request(self, task: Any) -> None:
        """Have a task executed in place of the one before."""
        self.busy = True
        self.taskRequested.emit(task)

    def show_problem(self, sentence: str) -> None:
        """Show why the task has failed."""
        self.words.setText(sentence)

    def show_end(self) -> None:
        """Say that the task is over."""
        self.busy = False

    def refresh(self) -> bool:
        """Draw what is pending, and return whether there was anything."""
        return False

    def clear(self) -> None:
        """Keep what is shown: it is of the experiment, and not of a run."""

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self.colors = colors
        quiet = mixed(colors.foreground, colors.background, 0.2)
        self.setStyleSheet(
            f"#beforeRunTile {{ background: {colors.background}; }}"
            f"#beforeRunTile > QLabel {{ color: {quiet}; background: transparent; "
            "padding: 0 10px 3px 10px; }"
        )

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        super().showEvent(event)
        self.set_experiment(self.experiment)
