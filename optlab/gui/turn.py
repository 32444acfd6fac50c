"""A turn that parts of the window take, so that one of them works at a time."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal


class Turn(QObject):
    """Lets several task bridges work one after another, so that one worker serves them all.

    Signals: ``freed()``: a bridge has given the turn back.
    """

    freed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._taken = False

    def acquire(self) -> bool:
        """Take the turn, and return whether it was free."""
        was_free = not self._taken
        self._taken = True
        return was_free

    def give_back(self) -> None:
        """Let the next bridge have the turn."""
        self._taken = False
        self.freed.emit()
