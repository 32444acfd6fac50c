"""Labels whose text does not fit."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from optlab.gui.panels.elided_label import ElidedLabel

SENTENCE = "Finished after 2,000 steps: the budget of 2,000 steps is spent."


def test_that_a_text_that_does_not_fit_ends_in_an_ellipsis_and_is_the_tool_tip(
    qtbot: QtBot,
) -> None:
    label = ElidedLabel(SENTENCE)
    qtbot.addWidget(label)
    needed = label.fontMetrics().horizontalAdvance(SENTENCE)
    label.resize(needed // 2, 20)
    label.show()
    assert label.text() == SENTENCE == label.toolTip()
    assert label.shown_text().endswith("…")
    assert label.fontMetrics().horizontalAdvance(label.shown_text()) <= label.width()
    label.resize(needed + 10, 20)
    assert label.shown_text() == SENTENCE
    assert label.toolTip() == ""


def test_that_a_hint_is_the_tool_tip_below_a_text_that_does_not_fit(qtbot: QtBot) -> None:
    label = ElidedLabel(SENTENCE)
    qtbot.addWidget(label)
    label.set_hint("What that means.")
    label.show()
    label.resize(label.fontMetrics().horizontalAdvance(SENTENCE) + 10, 20)
    assert label.toolTip() == label.accessibleDescription() == "What that means."
    label.resize(40, 20)
    assert label.toolTip() == f"{SENTENCE}\nWhat that means."
    label.set_hint("")
    assert label.toolTip() == SENTENCE
