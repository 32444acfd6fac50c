"""The caption above the plots: which run they show, and whether it is live or stored."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.plain_text import PlainLabel


class RunCaption(QWidget):
    """One line: the state of the run, and its name.

    Attributes:
        name, state: labels.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Run that is shown")
        self.name = ElidedLabel()
        self.name.setObjectName("tileTitle")
        self.state = PlainLabel("")
        self.state.setProperty("role", "muted")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2, 0, 2, 0)
        # The state comes first: it is seen where the panel is wider than the window.
        layout.addWidget(self.state)
        layout.addWidget(self.name, 1)
        self.show_run("", "")

    def show_run(self, name: str, state: str) -> None:
        """Show the name of a run and its state; "" for no run."""
        self.name.setText(name or "No run is shown")
        self.state.setText(state)
        self.state.setVisible(bool(state))
