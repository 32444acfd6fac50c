"""Small parts of the place of studies: where runs are trained, and buttons that are actions."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QComboBox, QPushButton

from optlab.runners.train import RunnerChoice

_RUNNERS: tuple[tuple[str, RunnerChoice, str], ...] = (
    ("Workers", "process", "Train in worker processes, one per core"),
    ("Automatic", "auto", "Small studies in this process, others in workers, as optlab study does"),
    ("This process", "thread", "Train in this process; the window may be slow meanwhile"),
)


def runner_box(runner: RunnerChoice) -> QComboBox:
    """Return a box in which it is chosen where runs are trained; its data are the choices."""
    box = QComboBox()
    for text, choice, tip in _RUNNERS:
        box.addItem(text, choice)
        box.setItemData(box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
    box.setCurrentIndex(max(0, box.findData(runner)))
    box.setAccessibleName("Where the runs are trained")
    return box


def action_button(action: QAction) -> QPushButton:
    """Return a button that does what an action does, and looks as the action says."""
    button = QPushButton(action.text())
    keys = action.shortcut().toString()
    button.setToolTip(f"{action.text()} ({keys})" if keys else action.text())
    button.clicked.connect(action.trigger)

    def follow() -> None:
        button.setEnabled(action.isEnabled())
        button.setText(action.text())

    action.changed.connect(follow)
    return button
