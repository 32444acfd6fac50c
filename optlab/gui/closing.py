"""The question before a window with a run in progress is closed."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget


def may_stop_run(parent: QWidget) -> bool:
    """Ask whether the run in progress may be stopped, and return the answer."""
    box = QMessageBox(
        QMessageBox.Icon.Question,
        "A run is in progress",
        "A run is in progress. Stop it and close? It is saved and can be resumed later.",
        QMessageBox.StandardButton.Cancel,
        parent,
    )
    stop = box.addButton("Stop and close", QMessageBox.ButtonRole.AcceptRole)
    box.exec()
    confirmed = box.clickedButton() is stop
    box.deleteLater()
    return confirmed
