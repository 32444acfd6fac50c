"""The experiments that were opened or saved last, as a menu."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QMenu, QWidget

MAX_FILES = 10
"""Files that are remembered."""


class RecentFiles(QMenu):
    """A menu of the files that were used last, the newest first; a participant of the session.

    Args:
        choose: called with the file that is picked. parent: owner.
    """

    def __init__(self, choose: Callable[[Path], object], parent: QWidget) -> None:
        super().__init__("Open &recent", parent)
        self.setObjectName("menuRecentFiles")
        self._choose = choose
        self._files: list[Path] = []
        self._show()

    def files(self) -> list[Path]:
        """Return the files, the newest first."""
        return list(self._files)

    def add(self, file: Path) -> None:
        """Put a file first."""
        file = file.absolute()
        self._files = [file, *(one for one in self._files if one != file)][:MAX_FILES]
        self._show()

    def state(self) -> list[str]:
        """Return the paths, the newest first."""
        return [str(file) for file in self._files]

    def restore(self, state: list[str]) -> None:
        """Show the files of another session.

        Raises:
            TypeError: the state is no list of texts.
        """
        self._files = [Path(path) for path in list(state)[:MAX_FILES]]
        self._show()

    def _show(self) -> None:
        self.clear()
        for number, file in enumerate(self._files, 1):
            # An ampersand would mark a shortcut.
            name = f"{file.name}  –  {file.parent}".replace("&", "&&")
            key = f"&{number} " if number < 10 else ""
            action = self.addAction(f"{key}{name}")
            action.setObjectName(f"actionRecent{number}")
            action.setStatusTip(f"Open {file}")
            action.triggered.connect(lambda _checked=False, file=file: self._pick(file))
        self.menuAction().setEnabled(bool(self._files))

    def _pick(self, file: Path) -> None:
        self._choose(file)
        if not file.exists():
            self._files.remove(file)
            self._show()
