"""Runs, board and experiment share the width of the window until somebody chooses their widths."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QSplitter
from pytestqt.qtbot import QtBot

from optlab.gui.window_frame import WindowFrame


@pytest.fixture
def frame(qtbot: QtBot) -> WindowFrame:
    frame = WindowFrame()
    qtbot.addWidget(frame)
    frame.resize(1280, 720)
    frame.show()
    return frame


def grow(frame: WindowFrame, qtbot: QtBot) -> list[int]:
    frame.resize(1920, 1000)
    qtbot.waitUntil(lambda: sum(frame.split_sizes()) > 1800)
    return frame.split_sizes()


def test_that_runs_get_their_share_of_a_larger_window(frame: WindowFrame, qtbot: QtBot) -> None:
    before = frame.split_sizes()
    after = grow(frame, qtbot)
    assert before[0] < after[0] <= 320
    assert after[1] > before[1]
    assert after[2] >= before[2]


def test_that_chosen_widths_stay(frame: WindowFrame, qtbot: QtBot) -> None:
    (split,) = frame.findChildren(QSplitter)
    handle = split.handle(1)
    split.moveSplitter(handle.x() - 20, 1)
    chosen = frame.split_sizes()[0]
    assert abs(grow(frame, qtbot)[0] - chosen) <= 1


def test_that_widths_of_the_last_session_stay(frame: WindowFrame, qtbot: QtBot) -> None:
    frame.set_split_sizes([160, 680, 420])
    restored = frame.split_sizes()[0]
    assert abs(grow(frame, qtbot)[0] - restored) <= 1
