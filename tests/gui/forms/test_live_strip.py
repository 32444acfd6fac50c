"""The live strip: its labels have room for what they show, whatever is picked."""

from __future__ import annotations

import html

import pytest
from pytestqt.qtbot import QtBot

from optlab.core import registry
from optlab.gui.forms.field_editor import symbol_text
from optlab.gui.panels.experiment_panel import ExperimentPanel


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_that_no_label_of_the_strip_is_cut_off(qtbot: QtBot, scale: float) -> None:
    panel = ExperimentPanel()
    qtbot.addWidget(panel)
    panel.show()
    font = panel.font()
    font.setPointSizeF(font.pointSizeF() * scale)
    panel.setFont(font)
    qtbot.wait(20)
    shortened = set()
    for name in registry.names("optimizer"):
        panel.pick("optimizer", name)
        for path in panel.strip.paths():
            row = panel.strip.row(path)
            field = row.editor.field
            assert row.label.sizeHint().width() <= row.label.width(), (name, path)
            # The symbol stays, and the tip has the whole label.
            assert row.label.text().endswith(symbol_text(field.symbol)), (name, path)
            assert html.escape(field.label) in row.label.toolTip()
            if "…" in row.label.text():
                shortened.add(field.label)
            else:
                assert row.label.text().startswith(html.escape(field.label))
    assert "Decay of the first moment" in shortened
    assert scale > 1 or "Learning rate" not in shortened
