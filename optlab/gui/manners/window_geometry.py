"""Where the window was, as a participant of the session."""

from __future__ import annotations

from PySide6.QtCore import QByteArray
from PySide6.QtWidgets import QWidget

from optlab.gui.geometry import fit_to_screen

_BEGINNING = b"\x01\xd9\xd0\xcb"
"""With which Qt begins every geometry that it saves."""


class WindowGeometry:
    """Position and size of a window, fitted to the screen that is there now.

    Args:
        window: not shown yet.
    """

    def __init__(self, window: QWidget) -> None:
        self._window = window

    def state(self) -> str:
        """Return position, size and whether it is maximized, as Qt writes them."""
        return bytes(self._window.saveGeometry().toBase64().data()).decode("ascii")

    def restore(self, state: str) -> None:
        """Put the window where it was, as far as the screen has room.

        On a screen of quite another width it stays where it is.

        Raises:
            ValueError: Qt cannot read the state.
        """
        geometry = QByteArray.fromBase64(state.encode("ascii"))
        # Qt restores none, either, where the screen is a quarter wider or narrower than it was.
        if not self._window.restoreGeometry(geometry) and not geometry.startsWith(_BEGINNING):
            raise ValueError("no geometry of a window")
        fit_to_screen(self._window)
