"""Drawing of what the events of a frame have changed, for as long as the frame has room.

A board may hold more plots than can be drawn within a frame. They are drawn one at a time, and Qt
paints each before the next one: what does not fit into a frame waits for the next, where it comes
first. So a frame is on time however many plots there are, and no plot waits for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from PySide6.QtCore import QObject, QTimer

from optlab.gui.bridge import RunBridge

ROOM_MILLISECONDS = 20.0
"""Time after the beginning of a frame at which no other plot is begun: the slowest one that the
board offers takes about ten milliseconds, and the next frame is due after 33.
"""


class Drawable(Protocol):
    """What is drawn in one turn: a plot, or a few that belong together."""

    def refresh(self) -> bool:
        """Draw what is pending, and return whether there was anything."""


class FrameDrawing(QObject):
    """Draws after each frame of a bridge.

    Args:
        bridge: the run that is followed.
        parent: owner.
    """

    def __init__(self, bridge: RunBridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._sources: list[Callable[[], Sequence[Drawable]]] = []
        self._began = self._drawing_since = 0.0
        # Turns are counted from 1 on: that of each plot, and the first of the frame.
        self._turns = self._first_turn = 1
        self._last_turn: dict[int, int] = {}
        # Its turn comes when nothing else waits: what was drawn before has been painted.
        self._turn = QTimer(self)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._draw_next)
        bridge.frameBegan.connect(self._frame_began)
        bridge.frameEnded.connect(self._frame_ended)
        bridge.sessionEnded.connect(self.finish)

    def add(self, source: Callable[[], Sequence[Drawable]]) -> None:
        """Draw what a function returns, which is asked at every turn."""
        self._sources.append(source)

    def finish(self) -> None:
        """Draw everything that is pending now: no other frame will come."""
        self._turn.stop()
        for drawable in self._all():
            drawable.refresh()

    def _all(self) -> list[Drawable]:
        return [drawable for source in self._sources for drawable in source()]

    def _frame_began(self) -> None:
        self._began = time.perf_counter()

    def _frame_ended(self) -> None:
        self._first_turn = self._turns
        self._drawing_since = time.perf_counter()
        self._last_turn = {key: self._last_turn.get(key, 0) for key in map(id, self._all())}
        self._turn.start()

    def _draw_next(self) -> None:
        """Draw the plot that has waited longest, and let Qt paint it."""
        waiting = [each for each in self._all() if self._turn_of(each) < self._first_turn]
        for drawable in sorted(waiting, key=self._turn_of):
            if self._is_over():
                break
            self._last_turn[id(drawable)] = self._turns
            self._turns += 1
            if drawable.refresh():
                return
        self._turn.stop()
        self._bridge.drew(time.perf_counter() - self._drawing_since)

    def _turn_of(self, drawable: Drawable) -> int:
        return self._last_turn.get(id(drawable), 0)

    def _is_over(self) -> bool:
        return 1000.0 * (time.perf_counter() - self._began) > ROOM_MILLISECONDS
