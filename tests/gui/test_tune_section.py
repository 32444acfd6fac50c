"""The section of a study in which its arms tune a field."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from optlab.gui.studies.draft_sections import TuneSection


def test_that_a_setting_for_each_seed_is_asked_for_by_a_box(qtbot: QtBot) -> None:
    section = TuneSection()
    qtbot.addWidget(section)
    section.show()
    assert section.tuning() is None and not section.each.isVisible()
    section.on.setChecked(True)
    assert section.each.isVisible()
    tuning = section.tuning()
    assert tuning is not None and not tuning.each
    with qtbot.waitSignal(section.edited):
        section.each.click()
    tuning = section.tuning()
    assert tuning is not None and tuning.each
