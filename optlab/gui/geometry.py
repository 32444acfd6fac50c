"""Windows that fit the screen, however small it is."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

_FRAME = QSize(16, 48)
"""Space for the frame and the title bar that the window manager adds."""


def resize_to_screen(window: QWidget, width: int, height: int) -> None:
    """Resize a window that was not shown yet, to at most the available area of its screen.

    Args:
        width: width in logical pixels on a screen that is large enough.
        height: height in logical pixels on a screen that is large enough.
    """
    parent = window.parentWidget()
    screen = (parent or window).screen()
    window.resize(QSize(width, height).boundedTo(screen.availableGeometry().size() - _FRAME))


def scrollable(content: QWidget) -> QScrollArea:
    """Return a scroll area around a widget, which scrolls where there is less space than it needs."""
    area = QScrollArea()
    area.setObjectName("experimentScroll")
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setWidget(content)
    return area


def fit_to_screen(window: QWidget) -> None:
    """Move and shrink a window that was not shown yet, so that it lies on its screen."""
    if window.isMaximized() or window.isFullScreen():
        return
    area = window.screen().availableGeometry()
    size = window.size().boundedTo(area.size() - _FRAME)
    left = min(max(window.x(), area.left()), area.right() - size.width() + 1)
    top = min(max(window.y(), area.top()), area.bottom() - size.height() + 1)
    window.setGeometry(left, top, size.width(), size.height())
