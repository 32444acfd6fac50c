"""Main windows that a test leaves open are closed without the questions that a user would get."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Close them before pytest-qt does."""
    module = sys.modules.get("optlab.gui.main_window")
    widgets = sys.modules.get("PySide6.QtWidgets")
    if module is not None and widgets is not None and widgets.QApplication.instance() is not None:
        for window in widgets.QApplication.topLevelWidgets():
            if isinstance(window, module.MainWindow):
                window.close_without_asking()
    dialogs = sys.modules.get("optlab.gui.manners.file_dialogs")
    if dialogs is not None:
        dialogs.MEMORY.folder = ""  # the folder that a test has used is not that of the next one
    return (yield)
