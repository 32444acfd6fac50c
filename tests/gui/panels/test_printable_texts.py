"""Titles, names of columns and messages are shown escaped in the window."""

from __future__ import annotations

from optlab.gui.panels.banner import Banner

EVIL = "a\x1b[2J\u202eb\x07"
SHOWN = "a\\x1b[2J\\u202eb\\x07"


def test_that_the_banner_shows_a_message_escaped_and_never_as_html(qtbot) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    banner.show_sentence(f"<b>{EVIL}</b>")
    assert banner.message.text() == f"<b>{SHOWN}</b>"
    # As rich text the tags would not be drawn, and the text narrower.
    assert banner.message.textFormat().name == "PlainText"
