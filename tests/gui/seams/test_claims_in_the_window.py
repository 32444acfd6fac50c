"""A claim is conducted from its page, and what it came to is there and in the book."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from optlab.cli.app import main
from optlab.core import paths
from optlab.gui.main_window import MainWindow
from optlab.gui.studies.studies_window import StudiesWindow

from .conftest import WAIT
from .test_user_text import assert_plain

CLAIM = """
id = "K1"
quick = true
statement = "A descent falls <b>zqx</b>."
chapter = "8.3"
notes = "follow the function downhill <b>not a tag</b>"
protocol = "One descent, and where it begins."
margin = "Any difference."
negative = "No step is taken."
next = "Other surfaces."
[study]
[study.probe]
name = "descent"
spread = 0.1
[study.arms.late]
probe.steps = 20
[study.arms.early]
probe.steps = 1
[study.seeds]
count = 3
[study.decide]
statement = "late < early"
[control.arms.late]
probe.steps = 1
"""


def test_that_a_claim_is_conducted_and_stands_on_its_page_and_in_the_book(
    qtbot: QtBot,
    open_window: Callable[..., MainWindow],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "K01-falls.toml").write_text(CLAIM)
    monkeypatch.setattr(paths, "claims", lambda: folder)
    window = open_window(shown=False)
    window.secondary_windows.show_studies()
    place = window.places.place("studies")
    assert isinstance(place, StudiesWindow)
    place.show_study("claim", "K1")
    qtbot.waitUntil(lambda: place.page is not None, timeout=WAIT)
    assert place.view.verdict.text() == "" and place.run_action.text() == "Conduct"
    assert "<b>not a tag</b>" in place.view.protocol.toPlainText()
    assert_plain(at_least=1)
    place.run_action.trigger()
    qtbot.waitUntil(lambda: place.message.text() == "Finished.", timeout=WAIT)
    qtbot.waitUntil(lambda: "negative control" in place.view.verdict.text(), timeout=WAIT)

    assert main(["claim", "K1", "--json"]) == 0
    (alone,) = json.loads(capsys.readouterr().out)
    (row,) = place.view.forest.rows
    assert (row.effect, row.low, row.high) == (alone["effect"], *alone["interval"])
    leaders = [place.view.board.arm(number) for number in range(2)]
    assert [arm.name for arm in leaders] == ["late", "early"]
    assert [arm.mean for arm in leaders] == [alone["arms"][arm.name]["mean"] for arm in leaders]
    assert place.view.verdict.text() == (
        f"late < early: supported here; negative control: {alone['control']}."
    )
    qtbot.waitUntil(lambda: not place.listing.active, timeout=WAIT)
    stated = [(one.key, one.verdict) for one in place.list.entries("claim")]
    assert stated == [("K1", "supported")]

    # Its negative control has the same statement and arms, and another name.
    kept = {one.title: one.key for one in place.list.entries("stored")}
    (control,) = (title for title in kept if title.startswith("Negative control: "))
    assert len(kept) == 2 and control.removeprefix("Negative control: ") in kept
    for title, key in kept.items():
        place.list.select("stored", key)
        qtbot.waitUntil(
            lambda key=key: place.page is not None and place.page.key == key, timeout=WAIT
        )
        qtbot.waitUntil(lambda: place.view.verdict.text() != "", timeout=WAIT)
        assert place.view.verdict.text().startswith("Negative control: ") is (title == control)
    place.show_study("claim", "K1")
    qtbot.waitUntil(lambda: place.page.key == "K1", timeout=WAIT)

    book = tmp_path / "K1.html"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(book), ""))
    place.claim_page_action.trigger()
    qtbot.waitUntil(lambda: str(book) in place.message.text(), timeout=WAIT)
    assert "A descent falls &lt;b&gt;zqx&lt;/b&gt;." in book.read_text(encoding="utf-8")
