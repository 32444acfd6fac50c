"""Theme and font size, which are applied before the window is built."""

from __future__ import annotations

from PySide6.QtWidgets import QApplication

from optlab.gui import theme
from optlab.gui.manners.preferences import Preferences

_SYSTEM_SIZE = "optlabSystemFontSize"


def apply(preferences: Preferences) -> None:
    """Give all windows the theme and the font size of these preferences."""
    if preferences.theme != theme.choice():
        theme.choose(preferences.theme)
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    font = application.font()
    if application.property(_SYSTEM_SIZE) is None:
        application.setProperty(_SYSTEM_SIZE, font.pointSizeF())
    size = preferences.font_size or float(application.property(_SYSTEM_SIZE))
    if size > 0.0 and font.pointSizeF() != size:
        font.setPointSizeF(size)
        with theme.whole():
            application.setFont(font)
