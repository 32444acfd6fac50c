"""The menu of experiments that ship with OptLab, grouped by data set.

It is filled when it is first opened: reading the files would delay the main window.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from optlab.gui.plain_text import plain


class PresetsMenu(QMenu):
    """One submenu per data set, one entry per preset.

    Args:
        choose: called with the file of the selected preset.
    """

    def __init__(self, choose: Callable[[Path], object], parent: QWidget) -> None:
        super().__init__("&Presets", parent)
        self._choose = choose
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self._fill)

    def _fill(self) -> None:
        if not self.isEmpty():
            return
        # Imported here: its parts would delay the first paint.
        from optlab.experiment.presets import presets

        groups: dict[str, QMenu] = {}
        for preset in presets():
            if preset.dataset not in groups:
                groups[preset.dataset] = self.addMenu(preset.dataset)
                groups[preset.dataset].setToolTipsVisible(True)
            action = QAction(preset.title, self)
            action.setToolTip(plain(f"{preset.sentence} What to see: {preset.see}"))
            action.triggered.connect(lambda _checked=False, path=preset.path: self._choose(path))
            groups[preset.dataset].addAction(action)
