"""The menu of scenes for an audience; it is filled when it is opened, which finds new files."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from optlab.gui.plain_text import plain


class ScenesMenu(QMenu):
    """One entry per scene.

    Args:
        choose: called with the name of the selected scene.
    """

    def __init__(self, choose: Callable[[str], object], parent: QWidget) -> None:
        super().__init__("S&cenes", parent)
        self._choose = choose
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self._fill)

    def _fill(self) -> None:
        # Imported here: its parts would delay the first paint.
        from optlab.tasks.scenes.shipped import scenes

        self.clear()
        for scene in scenes():
            title = plain(scene.title).replace("&", "&&")
            action = QAction(f"{title} ({scene.figure})" if scene.figure else title, self)
            action.setToolTip(plain(scene.problem or scene.text))
            action.triggered.connect(lambda _checked=False, name=scene.name: self._choose(name))
            self.addAction(action)
