"""The list of studies and claims alone: long questions that begin alike look different."""

from __future__ import annotations

from PySide6.QtCore import QRect
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from optlab.gui.studies.study_list import StudyList
from optlab.tasks.studies import StudyEntry

ALIKE = (
    "Do methods that adapt their rates reach a lower loss than momentum on digits?",
    "Do methods that adapt their rates reach a lower loss than momentum on an autoencoder?",
)


def drawn(listed: StudyList, number: int) -> QImage:
    """Return what is drawn of the question of a row of the first group that is seen."""
    tree = listed.tree
    item = tree.topLevelItem(2).child(number)
    rect = tree.visualItemRect(item)
    width = tree.header().sectionSize(0) - rect.left()
    return tree.viewport().grab(QRect(rect.left(), rect.top(), width, rect.height())).toImage()


def test_that_questions_that_begin_alike_look_different_where_both_are_too_long(
    qtbot: QtBot,
) -> None:
    listed = StudyList()
    qtbot.addWidget(listed)
    listed.show_entries(
        [StudyEntry("shipped", str(at), title, "", "") for at, title in enumerate(ALIKE)]
    )
    listed.resize(260, 400)
    listed.show()
    qtbot.waitExposed(listed)
    metrics = listed.tree.fontMetrics()
    room = listed.tree.header().sectionSize(0)
    assert all(metrics.horizontalAdvance(title) > 1.5 * room for title in ALIKE)
    assert listed.tree.alternatingRowColors() is False
    one, two = (drawn(listed, number) for number in range(2))
    assert one.size() == two.size() and one != two
    assert listed.tree.topLevelItem(2).child(0).toolTip(0) == ALIKE[0]
