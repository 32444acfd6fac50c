"""The doors of the first start, the guided run, and the report of an exception."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QDialog, QFileDialog
from pytestqt.qtbot import QtBot

from optlab.core import paths
from optlab.core.logging import log_file, log_to_file
from optlab.experiment import Experiment
from optlab.gui.main_window import MainWindow
from optlab.gui.manners import guided_run
from optlab.gui.manners.doors import Doors
from optlab.gui.manners.failure_report import FailureReports
from optlab.store import Store
from optlab.training.control import SetPace, SetValue

from .conftest import BASE, Open


def doors(window: MainWindow) -> list[Doors]:
    return [one for one in window.findChildren(Doors) if one.isVisible()]


@pytest.mark.qt_log_ignore("plugin does not support", extend=True)
def test_that_the_doors_open_at_the_first_start_alone(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(shown=True, doors=True)
    qtbot.waitUntil(lambda: len(doors(window)) == 1, timeout=10_000)
    (first,) = doors(window)
    assert first.compare.isEnabled()
    window.secondary_windows.show_page("optimizer", "adam")
    # A dialog that stays open would keep the program alive without a window.
    window.close_without_asking()
    assert not any(one.isVisible() for one in window.findChildren(QDialog))
    again = open_window(shown=True, doors=True)
    qtbot.wait(50)
    assert doors(again) == []
    # Help has them, and the third leads to the dialog of contenders where there is one.
    steps = again.findChild(QAction, "actionFirstSteps")
    assert steps is not None
    steps.trigger()
    doors(again)[0].compare.click()
    assert doors(again) == [] and again.contenders.editor is not None
    again.contenders.editor.reject()


def test_that_the_guided_run_is_a_real_run_that_says_its_own_numbers(
    qtbot: QtBot, open_window: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guided_run, "STEPS_PER_SECOND", 100.0)
    monkeypatch.setattr(guided_run, "STEPS", 450)
    scenes = tuple(scene for scene in guided_run.SCENES if scene.step < 450)
    monkeypatch.setattr(guided_run, "SCENES", scenes)
    window = open_window(Experiment.from_dict(BASE), shown=True)
    said: list[str] = []
    show = window.banner.show_sentence
    monkeypatch.setattr(
        window.banner,
        "show_sentence",
        lambda sentence, *rest, **named: (said.append(sentence), show(sentence, *rest, **named)),
    )
    window.manners.show_doors()
    doors(window)[0].show_me.click()
    assert window.manners.guide.active
    with qtbot.waitSignal(window.manners.guide.ended, timeout=60_000):
        pass
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=10_000)
    assert len(said) == len(scenes) + 1
    assert "4,810 numbers" in said[0] and "from 0.05 to 0.6" in said[2]
    with Store.open_readonly() as store:
        (record,) = store.runs()
        losses = store.series(record.id)["batch_loss"].values
        messages = [message for _, message in store.controls(record.id)]
    assert record.status == "finished" and record.steps == guided_run.STEPS
    assert f"{float(losses[:50].mean()):.3g} in the first steps" in said[1]
    assert messages == [SetPace(100.0), SetValue("optimizer.lr", 0.6)]
    assert window.timeline.steps_per_second == 0.0, "the pace is the user's again"


def test_that_the_guide_can_be_left_and_the_run_goes_on(qtbot: QtBot, open_window: Open) -> None:
    window = open_window(Experiment.from_dict(BASE), shown=True)
    window.manners.guide.begin()
    qtbot.waitUntil(lambda: "real run" in window.banner.message.text(), timeout=30_000)
    assert window.timeline.steps_per_second == 10.0
    leave = next(b for b in window.banner.buttons if b.text().startswith("Leave"))
    leave.click()
    assert not window.manners.guide.active and window.banner.isHidden()
    assert window.bridge.active and window.timeline.steps_per_second == 0.0


@pytest.mark.parametrize("button", ["start_button", "fork_button"])
def test_that_the_guide_leaves_a_run_that_continues_in_the_background(
    qtbot: QtBot, open_window: Open, button: str
) -> None:
    """It raised the rate of the fork, which was the run that the window followed then."""
    window = open_window(Experiment.from_dict(BASE), shown=True)
    guide, rates = window.manners.guide, []
    guide.begin()
    qtbot.waitUntil(lambda: window.timeline.step >= 3, timeout=30_000)
    parent = window.time.run_id
    getattr(window.controls if button == "start_button" else window.timeline, button).click()
    qtbot.waitUntil(lambda: not window.bridge.active, timeout=30_000)
    qtbot.waitUntil(
        lambda: (window.controls.start_button.text() == "Start fork") is (button == "fork_button")
    )
    assert not guide.active and window.beside.runs.find(parent) is not None
    assert all("guided" not in one.text() for one in window.banner.buttons if one.isVisible())
    window.experiment_panel.liveValueChanged.connect(lambda *change: rates.append(change))
    rate = window.experiment_panel.experiment().optimizer.values()["lr"]
    guide._say_until(10**6)
    assert rates == []
    assert window.experiment_panel.experiment().optimizer.values()["lr"] == rate
    window.beside.stop([parent])
    qtbot.waitUntil(lambda: not window.beside.runs.active, timeout=30_000)


@pytest.mark.expects_log("uncaught exception")
def test_that_an_exception_in_a_slot_ends_in_one_report(
    qtbot: QtBot,
    window: MainWindow,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths.writable_home()
    log_to_file()
    reports = FailureReports(window)
    monkeypatch.setattr(sys, "excepthook", reports.hook)
    failing = QAction("fail", window)
    errors = iter(["first", "first", "second"])

    def fail() -> None:
        raise RuntimeError(next(errors))

    failing.triggered.connect(fail)
    failing.trigger()
    failing.trigger()
    qtbot.waitUntil(lambda: reports.report is not None, timeout=5_000)
    report = reports.report
    assert report is not None
    qtbot.waitUntil(lambda: "(2 times)" in report.text.toPlainText(), timeout=5_000)
    failing.trigger()
    qtbot.waitUntil(lambda: "RuntimeError: second" in report.text.toPlainText(), timeout=5_000)
    assert reports.report is report, "one report at a time"
    text = report.text.toPlainText()
    assert text.count("RuntimeError: first") == 1 and "in fail" in text and "OptLab" in text
    report.copy_button.click()
    assert QGuiApplication.clipboard().text() == text
    chosen = tmp_path / "report.txt"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(chosen), ""))
    report.save_button.click()
    assert chosen.read_text(encoding="utf-8") == text
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "r.txt"), "")
    )
    report.save_button.click()
    assert "cannot be written" in report.note.text()
    report.reject()
    assert reports.report is None
    # Reported, read and closed: the same failure opens no second report; a paint event may fail often.
    monkeypatch.setattr(sys, "excepthook", reports.hook)
    errors = iter(["second"])
    failing.trigger()
    qtbot.wait(20)
    assert "RuntimeError: second" in capsys.readouterr().err
    assert log_file().read_text(encoding="utf-8").count("RuntimeError: ") == 4
    assert reports.report is None
