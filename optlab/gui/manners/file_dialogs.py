"""Dialogs that ask for files and folders, and begin in the folder that was used last."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget


class FolderMemory:
    """The folder that was used last; a participant of the session.

    Attributes:
        folder: "" at first, for the working directory.
    """

    def __init__(self) -> None:
        self.folder = ""

    def state(self) -> str:
        """Return the folder."""
        return self.folder

    def restore(self, state: str) -> None:
        """Begin in a folder, if it is there.

        Raises:
            TypeError: it is no text.
        """
        if Path(state).is_dir():
            self.folder = state

    def path(self, suggested: str) -> str:
        """Return where a dialog begins that suggests a name or path."""
        if not self.folder or (suggested and Path(suggested).is_absolute()):
            return suggested
        return str(Path(self.folder) / suggested) if suggested else self.folder

    def used(self, chosen: str, *, is_folder: bool = False) -> None:
        """Note what the user has chosen; "" after a cancelled dialog."""
        if chosen:
            path = Path(chosen).absolute()
            self.folder = str(path if is_folder else path.parent)


MEMORY = FolderMemory()
"""That of this process: its dialogs share one folder."""


def open_file(parent: QWidget, title: str, kinds: str, suggested: str = "") -> str:
    """Ask for a file to read and return its path, or "" if the user cancels."""
    name, _ = QFileDialog.getOpenFileName(parent, title, MEMORY.path(suggested), kinds)
    MEMORY.used(name)
    return name


def save_file(parent: QWidget, title: str, suggested: str, kinds: str) -> tuple[str, str]:
    """Ask for a file to write and return its path and the kind; "" if the user cancels."""
    name, kind = QFileDialog.getSaveFileName(parent, title, MEMORY.path(suggested), kinds)
    MEMORY.used(name)
    return name, kind


def existing_folder(parent: QWidget, title: str, suggested: str = "") -> str:
    """Ask for a folder and return its path, or "" if the user cancels."""
    name = QFileDialog.getExistingDirectory(parent, title, MEMORY.path(suggested))
    MEMORY.used(name, is_folder=True)
    return name
