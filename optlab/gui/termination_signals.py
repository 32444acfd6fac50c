"""Ctrl-C and requests to terminate, handled while Qt's event loop sleeps."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from types import FrameType

from PySide6.QtCore import QObject, QSocketNotifier, QTimer

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class TerminationSignals(QObject):
    """Call a function in the window's thread when the process receives SIGINT or SIGTERM.

    Python runs its signal handlers only while Python code runs, and Qt's event loop may sleep for a
    long time. The number of each signal is therefore written to a socket that Qt watches, which
    wakes the loop up.

    Args:
        terminate: what to call. It runs from the event loop, not from the handler: the handler may
            have interrupted a paint.
        parent: the parent object; nothing is handled after it is deleted.
    """

    def __init__(self, terminate: Callable[[], object], parent: QObject) -> None:
        super().__init__(parent)
        self._terminate = terminate
        # Both ends are attributes because an end that is garbage collected is closed, and the other
        # end then reads "end of file" without pause: the notifier would fire as fast as the loop
        # turns.
        self._reading, self._writing = socket.socketpair()
        for end in (self._reading, self._writing):
            end.setblocking(False)
        self._notifier = QSocketNotifier(self._reading.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._drain)
        self._previous_descriptor = signal.set_wakeup_fd(self._writing.fileno())
        self._previous_handlers = {
            number: signal.signal(number, self._handle) for number in _NUMBERS
        }

    def close(self) -> None:
        """Restore the handlers that were installed before, and close the socket."""
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._notifier.setEnabled(False)
        self._reading.close()
        self._writing.close()

    def _drain(self) -> None:
        if not self._reading.recv(64):
            # end of file: a notifier left enabled would fire endlessly
            self._notifier.setEnabled(False)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        QTimer.singleShot(0, self, self._terminate)
