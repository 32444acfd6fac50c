"""The time panel: the timeline of the run that is shown, its pace, and forks."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QWidget,
)

from optlab.gui.panels.step_track import StepTrack
from optlab.gui.plain_text import PlainLabel

PACES: dict[str, float] = {
    "Max pace": 0.0,
    "100 steps/s": 100.0,
    "10 steps/s": 10.0,
    "1 step/s": 1.0,
}
"""Text of each pace → steps a second, 0 for as many as possible."""
_MARGIN, _SPACING = 12, 8
_REST_MILLISECONDS = 250
"""Time after which a step that is looked at is taken to be meant."""

_FORK = "Begin a new run at this step, with its weights and optimizer state"
_FORK_WHILE_RUNNING = f"{_FORK}; the run in progress continues in the background"
_NO_FORK_YET = "Start an experiment first; then a new run can begin at any of its steps"
_NOW, _IS_NOW = "Look at the newest step again", "The newest step is what is shown"
_EXPLAIN = "Show the lines of the rule with the numbers of this step"
_NOTHING_TO_EXPLAIN = "Look at a step after the first one: then the lines of the rule are shown"
_ENDLESS = "Let the next run go on until you stop it, whatever the budget"
_ENDLESS_LATER = "The run in progress keeps its budget; this is chosen for the next one"


class TimePanel(QWidget):
    """A track over the steps, and buttons.

    The handle follows a run until the user moves it; *Now* lets it follow again.

    Signals: ``stepChanged(object)``: the step that is looked at, None for the newest;
    ``stepMeant(int)``: the handle has come to rest at a step. ``forkRequested(int)``,
    ``explainRequested(int)``: at a step. ``paceChanged(float)``: steps a second.
    ``endlessChanged(bool)``: whether the next run goes on until the user stops it.
    """

    stepChanged = Signal(object)
    stepMeant = Signal(int)
    forkRequested = Signal(int)
    explainRequested = Signal(int)
    paceChanged = Signal(float)
    endlessChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Timeline")
        self.looking = False
        self._first = self._last = 0
        self._present = self._idle = False
        self.track = StepTrack()
        self.label = PlainLabel("")
        self.label.setAccessibleName("Step that is looked at")
        self.now_button = _button("Now")
        self.explain_button = _button("Explain step")
        self.fork_button = _button("Fork…")
        self.pace = QComboBox()
        self.pace.setAccessibleName("Pace")
        self.pace.setToolTip(
            "How many steps a second the run takes at most; the numbers stay the same"
        )
        for text, rate in PACES.items():
            self.pace.addItem(text, rate)
        self.endless = QCheckBox("Until I stop")
        self.endless.toggled.connect(self.endlessChanged)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(_MARGIN, 0, _MARGIN, 0)
        layout.setSpacing(_SPACING)
        layout.addWidget(self.pace)
        layout.addWidget(self.endless)
        layout.addWidget(self.track, 1)
        layout.addWidget(self.label)
        for button in (self.now_button, self.explain_button, self.fork_button):
            layout.addWidget(button)
        # Where there is no room for all, the last of these are in the context menu alone.
        self._given_up = (self.endless, self.explain_button, self.now_button, self.label)
        self._needed = (self.pace, self.track, self.fork_button)
        self._add_actions()
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MILLISECONDS)
        self._rest.timeout.connect(lambda: self.stepMeant.emit(self.step))
        self.track.valueChanged.connect(self._moved)
        self.now_button.clicked.connect(self.follow)
        self.explain_button.clicked.connect(lambda: self.explainRequested.emit(self.step))
        self.fork_button.clicked.connect(lambda: self.forkRequested.emit(self.step))
        self.pace.currentIndexChanged.connect(
            lambda _index: self.paceChanged.emit(self.steps_per_second)
        )
        self.clear()

    def _add_actions(self) -> None:
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self._of_buttons: dict[QAction, QAbstractButton] = {}
        for button in (self.now_button, self.explain_button, self.fork_button, self.endless):
            action = QAction(button.text(), self)
            action.triggered.connect(button.click)
            self.addAction(action)
            self._of_buttons[action] = button

    def minimumSizeHint(self) -> QSize:  # Qt's name
        """Return the size of what is always shown."""
        return QSize(self._width(self._needed), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        """Hide what has no room."""
        super().resizeEvent(event)
        shown = [*self._needed, *self._given_up]
        for widget in self._given_up:
            fits = self._width(shown) <= event.size().width()
            widget.setVisible(fits)
            if not fits:
                shown.remove(widget)

    def _width(self, widgets: Sequence[QWidget]) -> int:
        inside = sum(max(one.minimumSizeHint().width(), one.minimumWidth()) for one in widgets)
        return inside + _SPACING * (len(widgets) - 1) + 2 * _MARGIN

    @property
    def step(self) -> int:
        """The step that is looked at."""
        return self.track.step

    @property
    def steps_per_second(self) -> float:
        """The pace, 0 for as many steps as possible."""
        return float(self.pace.currentData())

    def set_pace(self, rate: float) -> None:
        """Choose a pace in steps a second, 0 for as many as possible.

        A pace that is not listed is not chosen.
        """
        index = self.pace.findData(rate)
        if index >= 0:
            self.pace.setCurrentIndex(index)

    def clear(self) -> None:
        """Show that there is no run."""
        self._present = False
        self.looking = False
        self._first = self._last = 0
        self.track.set_marks((), ())
        self._show()

    def begin(self, first: int, last: int) -> None:
        """Show a run that has the steps ``first`` to ``last``, and follow it."""
        self._present = True
        self.looking = False
        self._first, self._last = first, last
        self.track.set_marks((), ())
        self._show()

    def set_first(self, first: int) -> None:
        """Show that the run has earlier steps, too."""
        self._first = min(first, self._last)
        self._show()

    def set_last(self, last: int) -> None:
        """Show that the run has come to a step."""
        self._last = max(last, self._first)
        self._show()

    def set_idle(self, idle: bool) -> None:
        """Set whether no run is in progress."""
        self._idle = idle
        self._show()

    def set_endless(self, endless: bool) -> None:
        """Show whether the next run goes on until the user stops it, without a signal."""
        before = self.endless.blockSignals(True)
        self.endless.setChecked(endless)
        self.endless.blockSignals(before)

    def add_snapshot(self, step: int) -> None:
        """Mark a snapshot."""
        self.track.snapshots.add(step)

    def add_change(self, step: int) -> None:
        """Mark a change."""
        self.track.changes.add(step)
        self.track.update()

    def look_at(self, step: int) -> None:
        """Look at a step."""
        self.track.set_step(step)
        self._moved(self.track.value())

    def follow(self) -> None:
        """Look at the newest step, and follow the run."""
        self.looking = False
        self._rest.stop()
        self._show()
        self.stepChanged.emit(None)

    def _moved(self, _value: int) -> None:
        self.looking = True
        self._show()
        self.stepChanged.emit(self.step)
        self._rest.start()

    def _show(self) -> None:
        self.track.set_steps(self._first, self._last)
        if not self.looking:
            self.track.set_step(self._last)
        several = self._present and self._last > self._first
        self.track.setEnabled(several)
        _enable(self.now_button, self.looking, _NOW, _IS_NOW)
        fork = _FORK if self._idle else _FORK_WHILE_RUNNING
        _enable(self.fork_button, self._present, fork, _NO_FORK_YET)
        _enable(self.endless, self._idle or not self._present, _ENDLESS, _ENDLESS_LATER)
        explains = several and self.step > self._first
        _enable(self.explain_button, explains, _EXPLAIN, _NOTHING_TO_EXPLAIN)
        for action, button in self._of_buttons.items():
            action.setEnabled(button.isEnabled())
            action.setToolTip(button.toolTip())
        self.label.setText(
            f"step {self.step:,} of {self._last:,}" if self._present else "no run yet"
        )


def _button(text: str) -> QPushButton:
    button = QPushButton(text)
    button.setAccessibleName(text.removesuffix("…"))
    return button


def _enable(button: QAbstractButton, enabled: bool, tip: str, why_not: str) -> None:
    button.setEnabled(enabled)
    button.setToolTip(tip if enabled else why_not)
