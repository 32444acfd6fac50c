"""The caption above the plots: which run they show, and whether it is live or stored."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from optlab.gui.panels.elided_label import ElidedLabel


class RunCaption(QWidget):
    """One line, ``Run: NAME``, with the state of the run at its end.

    Attributes:
        name, state: labels.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Run that is shown")
        self.name = ElidedLabel()
        self.name.setObjectName("tileTitle")
        self.state = QLabel("")
        self.state.setProperty("role", "muted")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2, 0, 2, 0)
        layout.addWidget(self.name, 1)
        layout.addWidget(self.state)
        self.show_run("", "")

    def show_run(self, name: str, state: str) -> None:
        """Show the name of a run and its state; "" for no run."""
        self.name.setText(name or "No run yet")
        self.state.setText(state)
