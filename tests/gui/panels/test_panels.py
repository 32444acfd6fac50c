"""Control bar, banner, preview and the list of runs."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QObject
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar, duration
from optlab.gui.panels.data_preview import DataPreview
from optlab.gui.panels.time_panel import TimePanel
from optlab.store import Store
from optlab.tasks.preview import preview
from optlab.training.control import Inbox, Stop
from optlab.training.session import session


def stored(status: str = "finished") -> str:
    requested = Experiment.from_dict(
        {
            "title": status,
            "dataset": {"name": "iris"},
            "model": {"name": "linear"},
            "budget": {"steps": 40},
        }
    )
    inbox = Inbox()
    if status == "stopped":
        inbox.put(Stop())
    with Store.open() as store:
        writer = store.begin([requested], "thread")
        for event in session([requested], inbox):
            writer.record(event)
        writer.close()
        return str(writer.run_ids[0])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (59.0, "59 s"),
        (61.0, "1 min 1 s"),
        (3600.0, "1 h 0 min"),
        (7325.0, "2 h 2 min"),
    ],
)
def test_that_time_spans_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_that_buttons_that_would_do_nothing_are_closed(qtbot: QtBot) -> None:
    bar = ControlBar()
    qtbot.addWidget(bar)
    table = {
        "idle": (True, False, True, False),
        "starting": (False, False, False, False),
        "running": (True, True, True, True),
        "paused": (True, True, True, True),
        "stopping": (False, False, False, False),
    }
    for state, opened in table.items():
        bar.set_state(state)  # type: ignore[arg-type]
        assert (
            bar.start_button.isEnabled(),
            bar.pause_button.isEnabled(),
            bar.step_button.isEnabled(),
            bar.stop_button.isEnabled(),
        ) == opened
    bar.set_state("idle")
    bar.set_startable(False, "optimizer.lr is wrong")
    assert not bar.start_button.isEnabled() and not bar.step_button.isEnabled()
    assert "optimizer.lr" in bar.start_button.toolTip()


def test_that_pause_resumes_when_paused(qtbot: QtBot) -> None:
    bar = ControlBar()
    qtbot.addWidget(bar)
    requested: list[str] = []
    bar.pauseRequested.connect(lambda: requested.append("pause"))
    bar.resumeRequested.connect(lambda: requested.append("resume"))
    bar.set_state("running")
    bar.pause_button.click()
    bar.set_state("paused")
    bar.pause_button.click()
    assert requested == ["pause", "resume"]


def test_that_speed_and_time_left_come_from_the_last_second(qtbot: QtBot) -> None:
    bar = ControlBar()
    qtbot.addWidget(bar)
    bar.begin(2000, 0, "CPU, 1 thread")
    bar.set_state("running")
    for tenth in range(21):
        bar.advance(tenth * (10 if tenth <= 10 else 50), tenth / 10.0)
    # 100 steps in the first second, then 50 every tenth of one: the first second no longer counts.
    assert "CPU, 1 thread" in bar.figures.text()
    rate = float(bar.figures.text().split("·")[1].split()[0].replace(",", ""))
    assert rate > 500
    assert bar.progress.value() == 1000 * 1000 // 2000


def test_that_speed_and_time_left_are_those_of_the_pace(qtbot: QtBot) -> None:
    bar = ControlBar()
    qtbot.addWidget(bar)
    bar.begin(2000, 0, "CPU")
    bar.set_state("running")
    bar.set_pace(10.0)
    # A hundred steps a second of training time, which is without the pauses between steps.
    bar.advance(0, 0.0)
    bar.advance(1000, 10.0)
    assert bar.figures.text() == (
        "step 1,000 of 2,000  ·  10 steps/s  ·  1 min 40 s left  ·  ordinary steps  ·  CPU"
    )
    bar.set_state("paused")
    assert "left" not in bar.figures.text() and "step 1,000" in bar.figures.text()
    bar.set_state("running")
    bar.set_pace(0.0)
    bar.advance(1100, 11.0)
    assert "100 steps/s" in bar.figures.text()
    bar.advance(2000, 20.0)
    bar.set_state("idle")
    assert "left" not in bar.figures.text()
    bar.set_state("starting")
    assert not bar.figures.text() and bar.progress.value() == 0, "those of the run before"


def test_that_the_bar_says_how_steps_are_taken_and_why(qtbot: QtBot) -> None:
    bar = ControlBar()
    qtbot.addWidget(bar)
    bar.resize(1280, 60)
    bar.show()
    bar.begin(2000, 0, "CPU")
    assert bar.figures.text() == "CPU" and bar.figures.toolTip() == ""
    bar.advance(10, 1.0)
    assert bar.figures.text() == "step 10 of 2,000  ·  ordinary steps  ·  CPU"
    ordinary, until = bar.figures.toolTip().split("\n")
    assert ordinary.startswith("Ordinary steps: ") and "until its steps have been recorded" in until
    bar.set_mode("recorded")
    assert bar.figures.text() == "step 10 of 2,000  ·  recorded steps  ·  CPU"
    assert bar.figures.toolTip().startswith("Recorded steps: ")
    assert bar.figures.accessibleDescription() == bar.figures.toolTip()
    bar.set_mode("ordinary", "gradients are delayed")
    bar.advance(20, 2.0)
    assert "ordinary steps" in bar.figures.text()
    assert bar.figures.toolTip().endswith("\nThey are not recorded because gradients are delayed.")
    bar.set_mode("compiled")
    assert bar.figures.toolTip().startswith("Compiled steps: ")
    bar.begin(2000, 0, "CPU")
    bar.advance(10, 1.0)
    assert "ordinary steps" in bar.figures.text(), "a run begins with them"
    bar.clear()
    assert bar.figures.text() == bar.figures.toolTip() == ""


def test_that_the_focus_stays_with_the_run(qtbot: QtBot) -> None:
    bar = ControlBar()
    qtbot.addWidget(bar)
    bar.show()
    bar.activateWindow()
    bar.start_button.setFocus()
    qtbot.waitUntil(bar.start_button.hasFocus)
    bar.set_state("starting")
    bar.set_state("running")
    assert bar.pause_button.hasFocus()
    bar.stop_button.setFocus()
    bar.set_state("stopping")
    bar.set_state("idle")
    assert bar.start_button.hasFocus()


def test_that_buttons_of_the_timeline_say_what_they_do_or_why_they_cannot(qtbot: QtBot) -> None:
    panel = TimePanel()
    qtbot.addWidget(panel)
    buttons = (panel.now_button, panel.explain_button, panel.fork_button, panel.endless)
    tips: dict[tuple[str, bool], set[str]] = {}

    def look() -> None:
        for button, action in zip(buttons, panel.actions(), strict=True):
            tips.setdefault((button.text(), button.isEnabled()), set()).add(button.toolTip())
            # What the menu offers is what the button does.
            assert (action.text(), action.isEnabled()) == (button.text(), button.isEnabled())
            assert action.toolTip() == button.toolTip() != ""

    look()
    assert "Start an experiment first" in panel.fork_button.toolTip()
    panel.begin(0, 10)
    panel.set_idle(False)
    look()
    assert panel.fork_button.isEnabled() and "in the background" in panel.fork_button.toolTip()
    panel.set_idle(True)
    look()
    assert "Begin a new run" in panel.fork_button.toolTip()
    panel.look_at(4)
    look()
    for button in buttons:
        able, unable = (tips[button.text(), enabled] for enabled in (True, False))
        assert able and unable and not able & unable, button.text()


def test_that_progress_waits_for_the_next_paint(qtbot: QtBot) -> None:
    class Paints(QObject):
        count = 0

        def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
            self.count += event.type() == QEvent.Type.Paint
            return False

    bar = ControlBar()
    qtbot.addWidget(bar)
    bar.resize(900, 60)
    bar.show()
    qtbot.waitExposed(bar)
    bar.begin(100, 0, "CPU")
    qtbot.wait(20)
    paints = Paints()
    bar.progress.installEventFilter(paints)
    for step in range(10, 100, 10):
        bar.advance(step, step / 100)
    assert paints.count == 0
    qtbot.waitUntil(lambda: paints.count == 1)


def test_that_a_banner_answers_and_closes(qtbot: QtBot) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    done: list[str] = []
    banner.show_sentence("A question?", {"Yes": lambda: done.append("yes")})
    assert not banner.isHidden() and [button.text() for button in banner.buttons] == [
        "Yes",
        "Dismiss",
    ]
    banner.buttons[0].click()
    assert done == ["yes"] and banner.isHidden()
    banner.show_sentence("Wrong.", problem=True)
    assert len(banner.buttons) == 1
    banner.buttons[0].click()
    assert banner.isHidden()


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"name": "digits"}, "1,797 examples"),
        ({"name": "moons", "size": 200}, "200 examples"),
        ({"name": "wine"}, "principal components"),
        ({"name": "diabetes"}, "real-valued target"),
    ],
)
@pytest.mark.parametrize("dark", [False, True])
def test_that_data_are_drawn(
    qtbot: QtBot, section: dict[str, object], text: str, dark: bool
) -> None:
    widget = DataPreview()
    qtbot.addWidget(widget)
    widget.resize(380, 200)
    try:
        theme.choose("dark" if dark else "light")
        widget.show_loading()
        blank = widget.picture.grab().toImage()
        room = widget.heightForWidth(380)
        widget.show_preview(preview(section))
        if section["name"] == "digits":
            assert widget.heightForWidth(380) == room, "what lies below would move"
        assert text in widget.message.text()
        assert widget.picture.grab().toImage() != blank
        widget.show_problem("It cannot be loaded.")
        assert widget.message.text() == "It cannot be loaded."
        assert widget.picture.grab().toImage() == blank
    finally:
        theme.choose("system")
