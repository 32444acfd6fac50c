"""A window is put where it was, also when the screen is another one than before."""

from __future__ import annotations

import base64
import struct

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from optlab.gui.manners.window_geometry import WindowGeometry

_SCREEN_WIDTH = 4 + 2 + 2 + 16 + 16 + 4 + 1 + 1
"""Bytes before the width of the screen: magic, version, two rectangles, screen, two flags."""


@pytest.fixture
def widget(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.resize(320, 240)
    return widget


def test_that_the_size_is_restored(widget: QWidget) -> None:
    state = WindowGeometry(widget).state()
    widget.resize(200, 100)
    WindowGeometry(widget).restore(state)
    assert (widget.width(), widget.height()) == (320, 240)


def test_that_a_screen_of_another_width_is_no_failure(widget: QWidget) -> None:
    saved = bytearray(base64.b64decode(WindowGeometry(widget).state()))
    (width,) = struct.unpack_from(">i", saved, _SCREEN_WIDTH)
    assert width == widget.screen().geometry().width()
    struct.pack_into(">i", saved, _SCREEN_WIDTH, 3 * width)
    widget.resize(200, 100)
    WindowGeometry(widget).restore(base64.b64encode(saved).decode())
    assert (widget.width(), widget.height()) == (200, 100)


@pytest.mark.parametrize("state", ["", "bm8gZ2VvbWV0cnk="])
def test_that_what_is_no_geometry_is_refused(widget: QWidget, state: str) -> None:
    with pytest.raises(ValueError, match="no geometry"):
        WindowGeometry(widget).restore(state)
