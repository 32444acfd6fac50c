"""Draw the pictures of the README from the window as it is: ``make readme-pictures``.

QT_QPA_PLATFORM=offscreen python tools/readme_pictures.py [FOLDER]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

sys.path.insert(0, str(Path(__file__).parent))

import all_windows
from screenshots import PATIENCE, Studio

from optlab.gui import theme
from optlab.gui.app import create_application
from optlab.gui.main_window import DEFAULT_PRESET, MainWindow
from optlab.gui.panels.gallery_dialog import GalleryDialog
from optlab.gui.present.prediction_layer import PredictionLayer

FOLDER = Path(__file__).parents[1] / "resources" / "screenshots"
SCREEN = {"name": "large", "x": 0, "y": 0, "width": 1920, "height": 1080, "dpr": 1}
SCREEN |= {"logicalDpi": 96, "logicalBaseDpi": 96}
WINDOW, PLACE, GALLERY, AUDIENCE = (1500, 900), (1480, 940), (1180, 780), (1280, 720)
STEPS = 2000
BESIDE = ({"name": "sgd", "lr": 0.1}, {"name": "adam", "lr": 0.003})
"""Runs that are stored before the one that is shown."""
SCENE = "first-run"


def draw(folder: Path) -> None:
    """Draw all of them."""
    application = create_application(["optlab"])
    theme.follow(application)
    theme.choose("light")
    studio = Studio(folder, [])
    preset = all_windows.preset(DEFAULT_PRESET, STEPS)
    window = MainWindow(preset, "thread")
    window.resize(*WINDOW)
    window.show()
    studio.settle(1.0)
    for optimizer in (*BESIDE, {"name": preset.optimizer.name, **preset.optimizer.values()}):
        window.experiment_panel.set_section("optimizer", dict(optimizer))
        studio.settle(0.2)
        window.start()
        studio.settle(PATIENCE, lambda: not window.bridge.active)
    # The runs panel reads the new ones and their small curves.
    studio.settle(3.0)
    studio.take(window, "window")
    _gallery(studio, window)
    _surfaces(studio, window)
    _audience(studio, window)
    window.close_without_asking()
    studio.settle(0.5)


def _light(studio: Studio, widget: QWidget, name: str) -> None:
    path = studio.folder / f"{name}-light.png"
    if not widget.grab().save(str(path)):
        raise OSError(f"{path} cannot be written.")


def _gallery(studio: Studio, window: MainWindow) -> None:
    gallery = GalleryDialog(window)
    gallery.resize(*GALLERY)
    gallery.show()
    studio.settle(1.0)
    _light(studio, gallery, "gallery")
    gallery.close()
    gallery.deleteLater()


def _surfaces(studio: Studio, window: MainWindow) -> None:
    window.resize(*PLACE)
    window.secondary_windows.show_place("surfaces")
    studio.settle(5.0)
    _light(studio, window, "surfaces")
    window.places.close_place("surfaces")


def _audience(studio: Studio, window: MainWindow) -> None:
    """Draw a scene after its run, with the curve that was expected."""
    window.secondary_windows.present()
    presenter = window.secondary_windows.presenter
    assert presenter is not None and presenter.window is not None
    audience = presenter.window
    audience.showNormal()
    audience.resize(*AUDIENCE)
    presenter.show_place([scene.name for scene in presenter.scenes].index(SCENE))
    studio.settle(1.0)
    (pen,) = (one for one in audience.findChildren(PredictionLayer) if one.isVisible())
    for column in range(60):
        # Somebody expects that the loss falls evenly and then levels out.
        if column < 24:
            QTest.keyClick(pen, Qt.Key.Key_Down if column % 2 else Qt.Key.Key_Right)
        QTest.keyClick(pen, Qt.Key.Key_Right)
    presenter.toggle()
    player = audience.player
    assert player is not None
    studio.settle(PATIENCE, lambda: player.state == "ended")
    studio.settle(0.5)
    _light(studio, audience, "present")
    presenter.close()


def main(arguments: list[str]) -> int:
    """Draw in a process that has a screen of its own and an empty data folder."""
    folder = Path(arguments[0]) if arguments else FOLDER
    if os.environ.get("OPTLAB_SCREEN"):
        draw(folder)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "screen.json"
        file.write_text(json.dumps({"screens": [SCREEN]}), encoding="utf-8")
        environment = {
            **os.environ,
            "OPTLAB_SCREEN": "readme",
            "OPTLAB_HOME": str(Path(home) / "home"),
            "QT_QPA_PLATFORM": f"offscreen:configfile={file}",
        }
        command = [sys.executable, __file__, str(folder)]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
