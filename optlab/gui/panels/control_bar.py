"""The control bar: Start, Pause, Step and Stop, and the progress of the run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from optlab.core.limits import UNTIL_STOPPED
from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.plain_text import plain

if TYPE_CHECKING:
    from optlab.training.events import StepMode

State = Literal["idle", "starting", "running", "paused", "stopping"]

_NATIVE = QKeySequence.SequenceFormat.NativeText
_RATE_SECONDS = 1.0
"""Window of the moving average of steps per second: readable, and still quick to follow changes."""

START_FORK = "Start fork"
NEW_RUN = "New run"
"""Text of the button that lets the run in progress go on beside."""
_START_KEYS, _NEW_RUN_KEYS = "Ctrl+Return", "Ctrl+Shift+Return"
_START_TIP = "Start training (Ctrl+Return)"
_NEW_RUN_TIP = "Let this run continue in the background, and start another one (Ctrl+Shift+Return)"


class ControlBar(QWidget):
    """Buttons and progress of the run.

    The bar has no logic of its own: the window sets its state, and it emits what the user requests.
    """

    startRequested = Signal()
    pauseRequested = Signal()
    resumeRequested = Signal()
    stepRequested = Signal()
    stopRequested = Signal()
    contenderRequested = Signal()
    newRunRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state: State = "idle"
        self._startable = True
        self._forking = False
        self._problem = self._device = ""
        self._recent: list[tuple[float, int]] = []
        self._budget = self._step = 0
        self._rate = self._pace = 0.0
        self._focus_lost = False
        self._mode: tuple[StepMode, str] = ("ordinary", "")

        self._actions: dict[QPushButton, QAction] = {}
        self.start_button = self._button("Start", "Start", _START_KEYS, _START_TIP)
        _reserve_width(self.start_button, NEW_RUN, START_FORK)
        self.start_button.setObjectName("primary")
        self.pause_button = self._button(
            "Pause", "Pause or resume", "Ctrl+P", "Pause before the next step, or resume (Ctrl+P)"
        )
        _reserve_width(self.pause_button, "Resume")
        self.step_button = self._button(
            "Step", "One step", "Ctrl+.", "Take one step, then pause (Ctrl+.)"
        )
        self.stop_button = self._button(
            "Stop",
            "Stop",
            "Ctrl+T",
            "Stop the run and save it; it can be resumed (Ctrl+T)",
        )
        # Its shortcut is that of the menu entry.
        self.contender_button = QPushButton("+ contender")
        self.contender_button.setAccessibleName("Add a contender")
        self.contender_button.setToolTip(
            "Compare this experiment with others that differ in anything, over many seeds "
            "(Ctrl+Shift+N)"
        )
        self.contender_button.clicked.connect(lambda _checked=False: self.contenderRequested.emit())
        self.start_button.clicked.connect(self._start_clicked)
        self.pause_button.clicked.connect(self._pause_clicked)
        self.step_button.clicked.connect(self.stepRequested)
        self.stop_button.clicked.connect(self.stopRequested)

        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress")
        self.progress.setMaximumHeight(8)
        self.message = ElidedLabel("Ready")
        self.message.setAccessibleName("State of the run")
        self.figures = ElidedLabel()
        self.figures.setAccessibleName("Speed, time left, kind of steps and device")

        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for button in (
            self.start_button,
            self.pause_button,
            self.step_button,
            self.stop_button,
            self.contender_button,
        ):
            buttons.addWidget(button)
        self.figures.setProperty("role", "muted")
        middle = QVBoxLayout()
        middle.setSpacing(4)
        middle.addWidget(self.message)
        middle.addWidget(self.progress)
        middle.addWidget(self.figures)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 3, 12, 6)
        layout.setSpacing(16)
        layout.addLayout(buttons)
        layout.addLayout(middle, 1)
        self.set_state("idle")

    @property
    def state(self) -> State:
        """The state that the bar shows."""
        return self._state

    def set_state(self, state: State) -> None:
        """Show the state of the run, and disable the buttons that would do nothing."""
        before, self._state = self._state, state
        used = QApplication.focusWidget()
        self._refresh_buttons()
        self._keep_focus(used)
        if state == "idle":
            self._recent = []
        if state == "starting" and before == "idle":
            self.clear()
        elif state != "starting" and self._rate:
            self._show_figures()

    def _keep_focus(self, used: QWidget | None) -> None:
        """Give the focus back: Qt hands that of a button that is disabled to another one."""
        if used in self._actions and not used.isEnabled():
            self._focus_lost = True
        if not self._focus_lost or self._state in ("starting", "stopping"):
            return
        self._focus_lost = False
        focus = QApplication.focusWidget()
        if focus is not None and self.isAncestorOf(focus):
            (self.start_button if self._state == "idle" else self.pause_button).setFocus()

    def set_pace(self, rate: float) -> None:
        """Set how many steps a second the run takes at most, 0 for as many as possible."""
        self._pace, self._recent = rate, self._recent[-1:]

    def set_startable(self, startable: bool, problem: str = "") -> None:
        """Set whether the experiment can be started, and if not, why."""
        self._startable, self._problem = startable, problem
        self._refresh_buttons()

    def set_forking(self, forking: bool) -> None:
        """Set whether the next start begins a fork."""
        self._forking = forking
        self._refresh_buttons()

    def say(self, sentence: str, *, problem: bool = False) -> None:
        """Show a sentence about the run, as an error if it is a ``problem``."""
        self.message.setText(sentence)
        self.message.setProperty("problem", problem)
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)

    def clear(self) -> None:
        """Show the progress of no run."""
        self._recent, self._rate = [], 0.0
        self.figures.setText("")
        self.figures.set_hint("")
        self.progress.setValue(0)

    def begin(self, budget: int, step: int, device: str) -> None:
        """Show that a run of ``budget`` steps begins after ``step`` steps on ``device``."""
        self._budget, self._device, self._recent, self._rate = budget, device, [], 0.0
        self.figures.setText(device)
        self.figures.set_hint("")
        self._mode = ("ordinary", "")
        self._show_progress(step)

    def set_mode(self, mode: StepMode, reason: str = "") -> None:
        """Set how the steps of the run are taken from now on, and why not faster."""
        self._mode = (mode, reason)
        if self._recent:
            self._show_figures()

    def advance(self, step: int, seconds: float) -> None:
        """Show that the run has taken ``step`` steps in ``seconds`` of training time."""
        self._show_progress(step)
        self._recent.append((seconds, step))
        while len(self._recent) > 2 and seconds - self._recent[1][0] > _RATE_SECONDS:
            del self._recent[0]
        first_seconds, first_step = self._recent[0]
        self._step, self._rate = step, 0.0
        if seconds > first_seconds and step > first_step:
            self._rate = (step - first_step) / (seconds - first_seconds)
            if self._pace:
                # Time of training is without the pauses that the pace puts between steps.
                self._rate = min(self._rate, self._pace)
        self._show_figures()

    def _show_figures(self) -> None:
        from optlab.tasks.step_modes import explanation, in_words  # once the window is painted

        step, rate = self._step, self._rate
        endless = self._budget >= UNTIL_STOPPED
        parts = [
            f"step {step:,}, until you stop" if endless else f"step {step:,} of {self._budget:,}"
        ]
        if rate:
            parts.append(f"{rate:,.0f} steps/s" if rate >= 10 else f"{rate:.2f} steps/s")
            if self._state == "running" and step < self._budget and not endless:
                parts.append(f"{duration((self._budget - step) / rate)} left")
        parts += [in_words(self._mode[0]), self._device]
        self.figures.setText("  ·  ".join(parts))
        self.figures.set_hint("\n".join(explanation(*self._mode)))

    def _show_progress(self, step: int) -> None:
        # Without this, Qt paints the bar at once, and waits for the screen at each block.
        self.progress.setUpdatesEnabled(False)
        self.progress.setValue(min(1000, 1000 * step // max(1, self._budget)))
        self.progress.setUpdatesEnabled(True)

    def _pause_clicked(self) -> None:
        (self.resumeRequested if self._state == "paused" else self.pauseRequested).emit()

    def _start_clicked(self) -> None:
        (self.startRequested if self._state == "idle" else self.newRunRequested).emit()

    def _refresh_start(self, in_progress: bool) -> None:
        """Show what the first button does: it starts a run, or makes room for another one."""
        button = self.start_button
        button.setEnabled(in_progress or (self._state == "idle" and self._startable))
        if in_progress:
            text, keys, tip = NEW_RUN, _NEW_RUN_KEYS, _NEW_RUN_TIP
        else:
            text, keys = START_FORK if self._forking else "Start", _START_KEYS
            tip = _START_TIP if self._startable else plain(self._problem)
        button.setText(text)
        button.setToolTip(tip)
        self._actions[button].setData(keys)

    def _refresh_buttons(self) -> None:
        in_progress = self._state in ("running", "paused")
        self._refresh_start(in_progress)
        self.pause_button.setEnabled(in_progress)
        self.pause_button.setText("Resume" if self._state == "paused" else "Pause")
        self.step_button.setEnabled(in_progress or (self._state == "idle" and self._startable))
        self.stop_button.setEnabled(in_progress)
        for button, action in self._actions.items():
            keys = QKeySequence(action.data())
            # Setting a text drops the shortcut.
            button.setShortcut(keys)
            action.setText(f"{button.text()}\t{keys.toString(_NATIVE)}")
            action.setEnabled(button.isEnabled())

    def run_actions(self) -> list[QAction]:
        """Return an action for each button, for a menu; its text names the button's shortcut."""
        return list(self._actions.values())

    def _button(self, text: str, name: str, shortcut: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(name)
        button.setToolTip(tip)
        action = QAction(text, self)
        action.setObjectName(f"action{text}")
        action.setStatusTip(tip)
        # The button has the shortcut, so that it acts where the button is seen and nowhere else.
        action.setData(shortcut)
        action.triggered.connect(button.click)
        self._actions[button] = action
        return button


def _reserve_width(button: QPushButton, *texts: str) -> None:
    """Make a button wide enough for other texts, so that showing them moves nothing."""
    shown = button.text()
    widths = []
    for text in texts:
        button.setText(text)
        widths.append(button.sizeHint().width())
    button.setMinimumWidth(max(widths))
    button.setText(shown)


def duration(seconds: float) -> str:
    """Return a time span as text: ``"8 s"``, ``"3 min 20 s"``, ``"2 h 5 min"``, ``"4 d 3 h"``."""
    total = math.ceil(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    if total < 86_400:
        return f"{total // 3600} h {total % 3600 // 60} min"
    return f"{total // 86_400:,} d {total % 86_400 // 3600} h"
