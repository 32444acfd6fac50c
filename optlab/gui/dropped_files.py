"""Files that are dropped on the main window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QWidget


class DroppedFiles(QObject):
    """Opens a file that is dropped on a window.

    Args:
        window: accepts one local file.
        open_experiment: called with the path of a TOML file.
        import_data: called with the path of any other file.
    """

    def __init__(
        self,
        window: QWidget,
        open_experiment: Callable[[Path], object],
        import_data: Callable[[str], object],
    ) -> None:
        super().__init__(window)
        self._open_experiment, self._import_data = open_experiment, import_data
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QDragEnterEvent):
            urls = event.mimeData().urls()
            if len(urls) == 1 and urls[0].isLocalFile():
                event.acceptProposedAction()
                return True
        elif isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop:
            path = Path(event.mimeData().urls()[0].toLocalFile())
            event.acceptProposedAction()
            # The sender waits until the drop is over; a dialog would keep it waiting.
            QTimer.singleShot(0, self, lambda: self._open(path))
            return True
        return super().eventFilter(watched, event)

    def _open(self, path: Path) -> None:
        if path.suffix == ".toml":
            self._open_experiment(path)
        else:
            self._import_data(str(path))
