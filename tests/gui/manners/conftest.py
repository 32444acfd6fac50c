"""A window with a session, as the program opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.main_window import MainWindow
from optlab.gui.manners import file_dialogs
from optlab.gui.manners.session import Session

BASE: dict[str, Any] = {
    "dataset": {"name": "iris"},
    "model": {"name": "mlp", "hidden": [4]},
    "optimizer": {"name": "momentum", "lr": 0.05},
    "clipping": {"name": "norm"},
    "budget": {"steps": 20},
    "measures": {"weights": 0},
}

Open = Callable[..., MainWindow]


@pytest.fixture
def open_window(
    qtbot: QtBot, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Open a window on the session of the test's data folder."""
    monkeypatch.setattr(file_dialogs.MEMORY, "folder", "")
    windows: list[MainWindow] = []

    def build(
        experiment: Experiment | None = None, *, shown: bool = False, doors: bool = False
    ) -> MainWindow:
        session = Session(stored=True)
        session.first = session.first and doors
        window = MainWindow(experiment, "thread", session=session)
        windows.append(window)
        qtbot.addWidget(window)
        if shown:
            window.show()
            qtbot.waitExposed(window)
        return window

    yield build
    for window in windows:
        window.close_without_asking()
    theme.choose("system")


@pytest.fixture
def window(open_window: Open) -> MainWindow:
    """A window that shows :data:`BASE`, hidden."""
    return open_window(Experiment.from_dict(BASE))


@pytest.fixture
def themed(qapp: QApplication) -> Iterator[QApplication]:
    """The application with its themes, as the program has it."""
    palette = qapp.palette()
    theme.follow(qapp)
    yield qapp
    qapp.styleHints().colorSchemeChanged.disconnect(theme._apply)
    theme.notifier().following = None
    qapp.setStyleSheet("")
    qapp.setPalette(palette)
