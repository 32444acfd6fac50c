"""The base of tiles that show a view of the model: what is asked for, its result, or why not.

The window computes the view (:mod:`optlab.gui.model_views`); a tile only says which one, and while
it is on its way how long that takes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.plain_text import PlainLabel, plain
from optlab.gui.plots.colors import LIGHT, PlotColors, mixed
from optlab.tasks.model_view import View

NO_MODEL = "Start a run, or open a stored one: this shows its model at the step that is looked at."

_NOTE_HEIGHT = 240
"""Pixels of a tile from which the note stands below its body."""


class ModelTile(QWidget):
    """A tile with a head of choices, a body, and a line about what is shown.

    Signals: ``viewChanged()``: another view is asked for, or the tile has become visible;
    ``cancelRequested()``: the wait for a step is to end.
    """

    viewChanged = Signal()
    cancelRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colors = LIGHT
        self.result: Any = None
        self.result_step: int | None = None
        self._run_id = ""
        self._step: int | None = None
        self._stale = False
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setObjectName("modelTile")
        self.head = QHBoxLayout()
        self.head.setContentsMargins(10, 2, 8, 2)
        self.caption = ElidedLabel("")
        self.head.addWidget(self.caption, 1)
        self.message = PlainLabel(NO_MODEL)
        self.message.setWordWrap(True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.note = PlainLabel("")
        self.note.setWordWrap(True)
        self.note.hide()
        self.wait = PlainLabel("")
        self.wait.setWordWrap(True)
        self.cancel_button = QToolButton()
        self.cancel_button.setText("Cancel")
        self.cancel_button.setAccessibleName("Cancel computing the step again")
        self.cancel_button.clicked.connect(self.cancelRequested)
        self.waiting = QWidget()
        line = QHBoxLayout(self.waiting)
        line.setContentsMargins(10, 0, 8, 2)
        line.addWidget(self.wait, 1)
        line.addWidget(self.cancel_button)
        self.waiting.hide()
        self._stack = QStackedWidget()
        self._stack.addWidget(self.message)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self.head)
        layout.addWidget(self.waiting)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.note)

    def set_body(self, body: QWidget) -> None:
        """Set what shows a result; called once by a subclass."""
        self._stack.addWidget(body)
        self.set_colors(self.colors)

    def add_choice(self, label: str, choice: QWidget) -> None:
        """Add a field to the head, with a label before it."""
        name = PlainLabel(label)
        self.head.addWidget(name)
        self.head.addWidget(choice)

    # --- what subclasses say ----------------------------------------------------------------------

    @property
    @abstractmethod
    def view(self) -> View:
        """What is asked for."""

    @abstractmethod
    def draw(self, result: Any) -> None:
        """Put a result into the body."""

    @abstractmethod
    def describe(self, result: Any) -> str:
        """Return the text above the body, beside the step."""

    # --- what the window says ---------------------------------------------------------------------

    def set_step(self, run_id: str, step: int | None) -> None:
        """Set the run, "" for one that is not stored, and its step; None for the newest."""
        if run_id != self._run_id:
            self.clear()
        self._run_id, self._step = run_id, step

    def show_view(self, result: Any, step: int, note: str) -> None:
        """Show a result of :attr:`view`, of the weights after ``step`` steps."""
        self.result, self.result_step = result, step
        self._stale = True
        text = self.describe(result)
        self.caption.setText(f"step {step:,}" + (f" · {text}" if text else ""))
        self.note.setText(note)
        self._stack.setCurrentIndex(1)
        self._stack.setToolTip(plain(note))
        self._place_note()
        self.show_wait("")
        self.refresh()

    def show_problem(self, sentence: str) -> None:
        """Show why there is nothing to be seen."""
        self.result, self.result_step = None, None
        self.caption.setText("")
        self.note.hide()
        self.show_wait("")
        self.message.setText(sentence)
        self.show_message()

    def show_message(self) -> None:
        """Show the message in place of the body."""
        self._stack.setCurrentIndex(0)

    def show_wait(self, sentence: str) -> None:
        """Say above the last result that another one is on its way; "" for no longer."""
        self.wait.setText(sentence)
        self.waiting.setVisible(bool(sentence))

    def refresh(self) -> bool:
        """Draw a result that has not been drawn, if the tile is visible; return whether it did."""
        if not self._stale or not self.isVisible() or self.result is None:
            return False
        self._stale = False
        self.draw(self.result)
        return True

    def clear(self) -> None:
        """Remove the result."""
        self.show_problem(NO_MODEL)

    def set_colors(self, colors: PlotColors) -> None:
        """Apply the colors of the theme."""
        self.colors = colors
        quiet = mixed(colors.foreground, colors.background, 0.2)
        self.setStyleSheet(
            f"#modelTile {{ background: {colors.background}; }}"
            f"#modelTile > QLabel, #modelTile QStackedWidget > QLabel {{ color: {quiet}; "
            "background: transparent; padding: 0 10px 2px 10px; }"
        )
        if self.result is not None:
            self._stale = True
            self.refresh()

    def _place_note(self) -> None:
        """Show the note where there is room for it; it is the tool tip of the body in any case."""
        self.note.setVisible(bool(self.note.text()) and self.height() >= _NOTE_HEIGHT)

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        super().resizeEvent(event)
        if self.result is not None:
            self._place_note()

    def showEvent(self, event: QShowEvent) -> None:  # Qt's name
        super().showEvent(event)
        self.refresh()
        self.viewChanged.emit()
