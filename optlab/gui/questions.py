"""Questions before something ends or is deleted."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from optlab.core.printable import printable
from optlab.store import RunRecord


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


def may_delete_run(parent: QWidget, record: RunRecord) -> bool:
    """Ask whether a stored run may be deleted, and return the answer."""
    box = QMessageBox(
        QMessageBox.Icon.Question,
        "Delete run",
        "",
        QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
        parent,
    )
    # A title may look like HTML.
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(
        f"Delete “{printable(record.title)}” ({record.steps:,} steps) with its curves and snapshots?"
    )
    answer = box.exec()
    box.deleteLater()
    return answer == QMessageBox.StandardButton.Yes
