"""The control bar: Start, Pause, Step and Stop, and how far the run is."""

from __future__ import annotations

import math
from typing import Literal

from PySide6.QtCore import Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

State = Literal["idle", "starting", "running", "paused", "stopping"]

_RATE_SECONDS = 1.0
"""Time over which steps a second are averaged: long enough to read, short enough to follow a
change.
"""


class ControlBar(QWidget):
    """Buttons and figures of the run that is going.

    The bar holds no truth of its own: the window tells it the state, it tells the window what was
    asked for.
    """

    startRequested = Signal()
    pauseRequested = Signal()
    resumeRequested = Signal()
    stepRequested = Signal()
    stopRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state: State = "idle"
        self._startable = True
        self._seen: list[tuple[float, int]] = []
        self._budget = 0
        self._device = ""

        self.start_button = self._button(
            "Start", "Start", "Ctrl+Return", "Begin training (Ctrl+Return)"
        )
        self.start_button.setObjectName("primary")
        self.pause_button = self._button(
            "Pause", "Pause or resume", "Ctrl+P", "Hold before the next step, or go on (Ctrl+P)"
        )
        self.step_button = self._button(
            "Step", "One step", "Ctrl+.", "Take one step, then hold (Ctrl+.)"
        )
        self.stop_button = self._button(
            "Stop",
            "Stop",
            "Ctrl+T",
            "End the run here; it keeps what it reached and can be resumed (Ctrl+T)",
        )
        self.start_button.clicked.connect(self.startRequested)
        self.pause_button.clicked.connect(self._pause_clicked)
        self.step_button.clicked.connect(self.stepRequested)
        self.stop_button.clicked.connect(self.stopRequested)

        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress")
        self.progress.setMaximumHeight(8)
        self.words = QLabel("Ready")
        self.words.setAccessibleName("State of the run")
        # A long sentence must not widen the window.
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.figures = QLabel("")
        self.figures.setAccessibleName("Speed, time left and device")

        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for button in (self.start_button, self.pause_button, self.step_button, self.stop_button):
            buttons.addWidget(button)
        self.figures.setProperty("role", "muted")
        middle = QVBoxLayout()
        middle.setSpacing(4)
        middle.addWidget(self.words)
        middle.addWidget(self.progress)
        middle.addWidget(self.figures)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 8)
        layout.setSpacing(16)
        layout.addLayout(buttons)
        layout.addLayout(middle, 1)
        self.set_state("idle")

    @property
    def state(self) -> State:
        """What the bar shows."""
        return self._state

    def set_state(self, state: State) -> None:
        """Show what the run does; buttons that would do nothing are disabled."""
        self._state = state
        self._refresh_buttons()
        if state == "idle":
            self._seen = []

    def set_startable(self, startable: bool, problem: str = "") -> None:
        """Whether the experiment can be started, and why not."""
        self._startable = startable
        self.start_button.setToolTip("Begin training (Ctrl+Return)" if startable else problem)
        self._refresh_buttons()

    def say(self, sentence: str, *, problem: bool = False) -> None:
        """One sentence about the run."""
        self.words.setText(sentence)
        self.words.setToolTip(sentence)
        self.words.setProperty("problem", problem)
        self.words.style().unpolish(self.words)
        self.words.style().polish(self.words)

    def begin(self, budget: int, step: int, device: str) -> None:
        """A run of ``budget`` steps begins after ``step`` steps on ``device``."""
        self._budget, self._device, self._seen = budget, device, []
        self.figures.setText(device)
        self._show_progress(step)

    def advance(self, step: int, seconds: float) -> None:
        """The run has taken ``step`` steps in ``seconds`` of training time."""
        self._show_progress(step)
        self._seen.append((seconds, step))
        while len(self._seen) > 2 and seconds - self._seen[1][0] > _RATE_SECONDS:
            del self._seen[0]
        since, from_step = self._seen[0]
        parts = [f"step {step:,} of {self._budget:,}"]
        if seconds > since and step > from_step:
            rate = (step - from_step) / (seconds - since)
            parts.append(f"{rate:,.0f} steps/s" if rate >= 10 else f"{rate:.2f} steps/s")
            if self._state == "running":
                parts.append(f"{duration(max(0, self._budget - step) / rate)} left")
        parts.append(self._device)
        self.figures.setText("  ·  ".join(parts))

    def _show_progress(self, step: int) -> None:
        self.progress.setValue(min(1000, 1000 * step // max(1, self._budget)))

    def _pause_clicked(self) -> None:
        (self.resumeRequested if self._state == "paused" else self.pauseRequested).emit()

    def _refresh_buttons(self) -> None:
        going = self._state in ("running", "paused")
        self.start_button.setEnabled(self._state == "idle" and self._startable)
        self.pause_button.setEnabled(going)
        self.pause_button.setText("Resume" if self._state == "paused" else "Pause")
        # Setting a text drops the shortcut.
        self.pause_button.setShortcut(QKeySequence("Ctrl+P"))
        self.step_button.setEnabled(going or (self._state == "idle" and self._startable))
        self.stop_button.setEnabled(going)

    @staticmethod
    def _button(text: str, name: str, shortcut: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(name)
        button.setToolTip(tip)
        button.setShortcut(QKeySequence(shortcut))
        return button


def duration(seconds: float) -> str:
    """A time span for people: ``"8 s"``, ``"3 min 20 s"``, ``"2 h 5 min"``, ``"4 d 3 h"``."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400:,} d {whole % 86_400 // 3600} h"
