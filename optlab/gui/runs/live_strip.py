"""The runs of this window that are in progress: each with its own buttons."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from optlab.core.limits import UNTIL_STOPPED
from optlab.core.printable import printable
from optlab.gui.live_run import LiveRun
from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.plain_text import PlainLabel
from optlab.gui.runs.run_tree_model import swatch

_PAUSE, _GO, _STOP = "❚❚", "▶", "■"


class LiveStrip(QWidget):
    """One line for each run in progress, where there are several.

    Args:
        color: returns the color of a run, an index into the palette.

    Signals: ``followRequested(str)``, ``pauseToggled(str)``, ``stopRequested(str)``: id of a run.
    """

    followRequested = Signal(str)
    pauseToggled = Signal(str)
    stopRequested = Signal(str)

    def __init__(self, color: Callable[[str], int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Runs in progress")
        self._color = color
        self.lines: dict[str, LiveLine] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(1)
        self.hide()

    def show_runs(self, runs: tuple[LiveRun, ...], followed: str) -> None:
        """Show runs in progress; nothing is shown of one that is followed and alone.

        Args:
            runs: to show. followed: id of the one that the plots follow.
        """
        several = any(live.run_id != followed for live in runs)
        wanted = {live.run_id: live for live in runs if live.run_id} if several else {}
        for run_id in [run_id for run_id in self.lines if run_id not in wanted]:
            self.lines.pop(run_id).deleteLater()
        for run_id, live in wanted.items():
            if run_id not in self.lines:
                line = self.lines[run_id] = LiveLine()
                line.name.clicked.connect(lambda run=run_id: self.followRequested.emit(run))
                line.pause.clicked.connect(lambda _=False, run=run_id: self.pauseToggled.emit(run))
                line.stop.clicked.connect(lambda _=False, run=run_id: self.stopRequested.emit(run))
                self._layout.addWidget(line)
            self.lines[run_id].show_run(live, self._color(run_id), followed=run_id == followed)
        self.setVisible(bool(wanted))


class _NameButton(ElidedLabel):
    """A name that acts when it is clicked, or pressed by a key.

    Signals: ``clicked()``.
    """

    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # Qt's name
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # Qt's name
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.pos()):
            self.clicked.emit()


class LiveLine(QWidget):
    """Color, name, step and buttons of a run.

    Attributes:
        name: a click lets the plots follow the run. pause, stop: buttons.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swatch = QLabel()
        self.name = _NameButton()
        self.step = PlainLabel("")
        self.step.setProperty("role", "muted")
        self.pause, self.stop = QToolButton(), QToolButton()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._swatch)
        layout.addWidget(self.name, 1)
        layout.addWidget(self.step)
        for button in (self.pause, self.stop):
            button.setAutoRaise(True)
            layout.addWidget(button)
        self.stop.setText(_STOP)

    def show_run(self, live: LiveRun, color: int, *, followed: bool) -> None:
        """Show how far a run is.

        Args:
            live: the run. color: index into the palette. followed: whether the plots follow it.
        """
        title = printable(live.title)
        self._swatch.setPixmap(swatch(color))
        self.name.setText(f"{title} (followed)" if followed else title)
        self.name.setAccessibleName(f"Look at {title}")
        endless = not live.budget or live.budget >= UNTIL_STOPPED
        share = "" if endless else f" · {live.step / live.budget:.0%}"
        self.step.setText(f"{live.step:,}{share}")
        self.step.setAccessibleName(f"Step of {title}")
        paused = live.activity == "paused"
        self.pause.setText(_GO if paused else _PAUSE)
        for button, word in ((self.pause, "Resume" if paused else "Pause"), (self.stop, "Stop")):
            button.setToolTip(f"{word} this run")
            button.setAccessibleName(f"{word} {title}")
            button.setEnabled(live.activity != "stopping")
