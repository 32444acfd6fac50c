"""Keeping what is scrolled where it is, while everything gets another height for a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import shiboken6
from PySide6.QtCore import QEvent, QTimer
from PySide6.QtWidgets import QApplication, QScrollBar

_LAYOUTS = 4
"""Turns of the event loop after which all layouts have their heights."""


@contextmanager
def kept_scrolling() -> Iterator[None]:
    """Scroll back to where all scroll bars are now.

    Without its style sheet a form is shorter, and Qt moves what is scrolled beyond its new end; it
    does not move it back when the form has its height again.
    """
    before = [
        (bar, bar.value(), bar.value() == bar.maximum())
        for bar in QApplication.allWidgets()
        if isinstance(bar, QScrollBar) and bar.value() > bar.minimum()
    ]

    def restore(more: int = _LAYOUTS) -> None:
        for bar, value, at_end in before:
            if shiboken6.isValid(bar):
                bar.setValue(bar.maximum() if at_end else value)
        if more:
            QTimer.singleShot(0, lambda: restore(more - 1))

    yield
    if before:
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
        restore()
