"""Questions before something ends or is deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QMessageBox, QWidget

from optlab.core.printable import printable
from optlab.gui.bridge import TaskBridge
from optlab.tasks.task import OnStoredRun

CONTINUE = "Continue with the changed data"
"""Text of the buttons that do."""


@dataclass(frozen=True)
class InProgress:
    """What closing a window stops.

    Attributes:
        runs: how many. study: whether there is one.
    """

    runs: int = 0
    study: bool = False

    def __bool__(self) -> bool:
        return self.runs > 0 or self.study

    @property
    def several(self) -> bool:
        """Whether it is more than one thing."""
        return self.runs + self.study > 1

    @property
    def words(self) -> str:
        """That it is in progress, without a full stop."""
        runs = {0: [], 1: ["a run"]}.get(self.runs, [f"{self.runs} runs"])
        both = " and ".join([*runs, *(["a study"] if self.study else [])])
        return f"{both[:1].upper()}{both[1:]} {'are' if self.several else 'is'} in progress"

    @property
    def kept(self) -> str:
        """A sentence that says what becomes of it."""
        if not self.study:
            return f"{'They are' if self.several else 'It is'} saved and can be resumed later."
        they = "they" if self.several else "it"
        return f"What {they} reached is kept, and {they} can go on later."


def may_stop(parent: QWidget, found: InProgress) -> bool:
    """Ask whether what is in progress may be stopped, and return the answer; yes without any."""
    if not found:
        return True
    them = "them" if found.several else "it"
    box = QMessageBox(
        QMessageBox.Icon.Question,
        found.words,
        f"{found.words}. Stop {them} and close? {found.kept}",
        QMessageBox.StandardButton.Cancel,
        parent,
    )
    stop = box.addButton("Stop and close", QMessageBox.ButtonRole.AcceptRole)
    box.exec()
    confirmed = box.clickedButton() is stop
    box.deleteLater()
    return confirmed


def may_use_changed_data(parent: QWidget, sentence: str) -> bool:
    """Ask whether to go on with other data than those of a stored run, and return the answer.

    Args:
        parent: window above which to ask.
        sentence: says which file has changed.
    """
    box = QMessageBox(
        QMessageBox.Icon.Question,
        "Changed data",
        "",
        QMessageBox.StandardButton.Cancel,
        parent,
    )
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(printable(sentence))
    box.setInformativeText("Continue with the changed data?")
    go_on = box.addButton(CONTINUE, QMessageBox.ButtonRole.AcceptRole)
    box.exec()
    confirmed = box.clickedButton() is go_on
    box.deleteLater()
    return confirmed


def ask_about_changed_data(tasks: TaskBridge, parent: QWidget, busy: Callable[[], object]) -> None:
    """Ask, whenever the data of a stored run have changed, whether a task is to go on.

    Args:
        tasks: whose tasks read them; where the answer is no, the task has failed.
        parent: window above which to ask.
        busy: is called when the task is asked again.
    """

    def ask(sentence: str, task: OnStoredRun) -> None:
        if may_use_changed_data(parent, sentence):
            tasks.ask(task)
            busy()
        else:
            tasks.failed.emit(sentence)

    def ask_later(sentence: str, task: OnStoredRun) -> None:
        # The bridge must not wait for the answer.
        QTimer.singleShot(0, parent, partial(ask, sentence, task))

    tasks.dataChanged.connect(ask_later)


def may_delete_study(parent: QWidget, title: str) -> bool | None:
    """Ask whether a stored study may be deleted.

    Returns:
        Whether its runs are to be deleted with it; None where the answer is no.
    """
    box = QMessageBox(
        QMessageBox.Icon.Question, "Delete study", "", QMessageBox.StandardButton.Cancel, parent
    )
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(f"Delete the study “{printable(title)}”?")
    both = box.addButton("Study and runs", QMessageBox.ButtonRole.DestructiveRole)
    alone = box.addButton("Study only", QMessageBox.ButtonRole.AcceptRole)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    return clicked is both if clicked in (both, alone) else None
