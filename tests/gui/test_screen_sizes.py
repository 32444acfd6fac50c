"""The window fits small screens, and does not grow when a run starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from PySide6.QtCore import QRect, QTimer
from PySide6.QtWidgets import QPushButton
from optlab.gui import theme
from optlab.gui.app import create_application
from optlab.gui.demonstrations.demonstration_window import DemonstrationWindow
from optlab.gui.landscape.landscape_window import LandscapeWindow
from optlab.gui.main_window import MainWindow
from optlab.gui.surfaces.surface_window import SurfaceWindow
from optlab.gui.panels.catalogue_dialog import CatalogueDialog
from optlab.gui.panels.gallery_dialog import GalleryDialog
from optlab.gui.panels.help_page import HelpPage
from optlab.gui.panels.import_dialog import ImportDialog
from optlab.gui.panels.machine_dialog import MachineDialog
from optlab.gui.panels.register_dialog import RegisterDialog
from optlab.gui.panels.test_part_dialog import TestPartDialog

application = create_application(["optlab"])
theme.follow(application)
window = MainWindow(None, "thread")
window.show()
available = window.screen().availableGeometry()
problems = []


def settle():
    for _ in range(5):
        application.processEvents()


def check(when):
    settle()
    if not available.contains(window.frameGeometry()):
        problems.append(f"{when}: window {window.frameGeometry()} on screen {available}")
    for button in window.controls.findChildren(QPushButton):
        area = QRect(button.mapTo(window, button.rect().topLeft()), button.size())
        if not window.rect().contains(area) or button.visibleRegion().boundingRect() != button.rect():
            problems.append(f"{when}: {button.text()} at {area} in {window.rect()}")


check("at first")
before = window.size()
window.controls.begin(10**9, 123456789, "NVIDIA H100 80GB HBM3, 16 threads, deterministic")
window.controls.set_state("running")
for second in range(3):
    window.controls.advance(123456789 + second, float(second))
window.diagnosis_panel.sentence.setText("The loss oscillates between two values. " * 4)
window.diagnosis_panel.show()
window.banner.show_sentence("The run was interrupted. " * 20, {"Resume": print, "All runs…": print})
check("running")
window.controls.set_state("paused")
check("paused")
if window.size() != before:
    problems.append(f"grew from {before} to {window.size()}")
dialogs = [
    CatalogueDialog(window),
    GalleryDialog(window),
    HelpPage("optimizer", "adam", window),
    ImportDialog(window._prewarmer, window),
    MachineDialog(window._prewarmer, "", window),
    RegisterDialog(window._prewarmer, window),
    TestPartDialog(window._prewarmer, "no such run", window),
    LandscapeWindow(window._prewarmer),
    SurfaceWindow(window._prewarmer),
    DemonstrationWindow(window._prewarmer),
]
for dialog in dialogs:
    dialog.show()
    settle()
    if dialog.width() > available.width() or dialog.height() > available.height():
        problems.append(f"{type(dialog).__name__}: {dialog.size()} on screen {available}")
    if isinstance(dialog, LandscapeWindow):
        dialog._show_status("What was computed, in words.")
        settle()
        if dialog.status_label.visibleRegion().boundingRect() != dialog.status_label.rect():
            problems.append(f"the result in words is cut off at {dialog.size()}")
    dialog.close()
window.close_without_asking()
print(*problems, sep="\\n")
sys.exit(bool(problems))
"""


@pytest.mark.parametrize(("width", "height", "scale"), [(1280, 720, 1), (1280, 720, 2)])
def test_that_windows_fit_a_small_screen_and_do_not_grow(
    tmp_path: Path, width: int, height: int, scale: int
) -> None:
    screen = {"name": "small", "x": 0, "y": 0, "width": width, "height": height}
    screen |= {"logicalDpi": 96, "logicalBaseDpi": 96, "dpr": 1}
    (tmp_path / "screen.json").write_text(json.dumps({"screens": [screen]}))
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "QT_QPA_PLATFORM": f"offscreen:configfile={tmp_path / 'screen.json'}",
        "QT_SCALE_FACTOR": str(scale),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    messages = done.stderr.replace("This plugin does not support propagateSizeHints()\n", "")
    assert (done.stdout.strip(), messages, done.returncode) == ("", "", 0)
