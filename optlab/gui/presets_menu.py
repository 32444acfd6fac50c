"""The menu of experiments that ship with OptLab, grouped by what they are about. Filled when it is first opened: reading the files would hold up the window."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from optlab import paths, registry


class PresetsMenu(QMenu):
    """One submenu a data set, one entry a preset.

    Args:
        choose: called with the file of the preset that is picked.
    """

    def __init__(self, choose: Callable[[Path], None], parent: QWidget) -> None:
        super().__init__("&Presets", parent)
        self._choose = choose
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self._fill)

    def _fill(self) -> None:
        if not self.isEmpty():
            return
        groups: dict[str, QMenu] = {}
        for path in sorted(paths.presets().glob("*.toml")):
            document = path.read_text(encoding="utf-8")
            tables = tomllib.loads(document)
            data = registry.get("dataset", tables["dataset"]["name"]).label
            if data not in groups:
                groups[data] = self.addMenu(data)
                groups[data].setToolTipsVisible(True)
            action = QAction(tables.get("title") or path.stem, self)
            action.setToolTip(_comment(document))
            action.triggered.connect(lambda _checked=False, path=path: self._choose(path))
            groups[data].addAction(action)


def _comment(document: str) -> str:
    """The words that a preset begins with: what it shows."""
    lines: list[str] = []
    for line in document.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)
