"""Draw every place, tile, dialog and some scenes, light and dark, on screens of three sizes.

    QT_QPA_PLATFORM=offscreen python tools/screenshots.py [--screen NAME]... [FOLDER [WORD]...]

One folder a screen: ``1280x720``, ``1920x1080`` and ``200-percent`` (1280×720 logical pixels, drawn
with twice as many). What there is is found by walking, so a new place, tile or dialog comes by
itself. With words, only pictures whose names contain one of them are written; with ``--screen``,
only those of one screen.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication, QWidget

sys.path.insert(0, str(Path(__file__).parent))

import all_windows

from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.app import create_application
from optlab.gui.board.board_layout import shipped_folder
from optlab.gui.main_window import MainWindow
from optlab.gui.places import TITLES

SCREENS = {"1280x720": (1280, 720, 1), "1920x1080": (1920, 1080, 1), "200-percent": (2560, 1440, 2)}
"""Folder → pixels of the screen, and the factor by which everything is drawn larger."""
PRESET = "spirals-mlp"
"""What the workbench shows: two inputs, so that regions can be drawn, and two classes."""
STEPS = 800
EVERY = 100
"""Steps between the readings of its instruments."""
PATIENCE = 60.0
"""Seconds that a run or a computation may take."""


class Studio:
    """Takes the pictures of one screen.

    Args:
        folder: where they are written. words: parts of names; none for all pictures.
    """

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.folder, self.words = folder, words
        self.count = 0

    def settle(self, seconds: float = 0.1, until: Callable[[], bool] | None = None) -> None:
        """Let the window work for some seconds, or until something is so."""
        end = time.monotonic() + seconds
        while True:
            QApplication.processEvents()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            if time.monotonic() > end or (until is not None and until()):
                return
            time.sleep(0.005)

    def wants(self, name: str) -> bool:
        """Return whether a picture is asked for."""
        return not self.words or any(word in name for word in self.words)

    def take(self, widget: QWidget, name: str) -> None:
        """Write a picture of a widget in both themes."""
        if not self.wants(name):
            return
        for choice in ("light", "dark"):
            theme.choose(choice)
            self.settle(0.15)
            path = self.folder / f"{name}-{choice}.png"
            if not widget.grab().save(str(path)):
                raise OSError(f"{path} cannot be written.")
            self.count += 1
        theme.choose("light")


def draw(folder: Path, words: list[str]) -> int:
    """Draw all pictures of the screen of this process, and return their number."""
    application = create_application(["optlab"])
    theme.follow(application)
    theme.choose("light")
    studio = Studio(folder, words)
    window = MainWindow(measured(all_windows.preset(PRESET, STEPS)), "thread")
    window.resize(window.screen().availableGeometry().size())
    window.show()
    studio.settle(0.5)
    window.start()
    studio.settle(PATIENCE, lambda: not window.bridge.active)
    studio.settle(1.0)
    studio.take(window, "place-workbench")
    for path in sorted(shipped_folder().glob("*.toml")):
        if studio.wants(f"place-workbench-{path.stem}"):
            window.board.show_layout(path.stem)
            studio.settle(1.0)
            studio.take(window, f"place-workbench-{path.stem}")
    for key in list(window.board.board.kinds):
        name = f"tile-{key.replace(':', '-').replace('.', '-')}"
        if studio.wants(name):
            window.board.open_tile(key)
            window.board.board.enlarge(key)
            # What a tile computes when it is looked at takes a while.
            studio.settle(3.0)
            studio.take(window.board.board.tile(key), name)
            window.board.board.restore_all()
    for name in list(TITLES)[1:]:
        if studio.wants(f"place-{name}"):
            window.secondary_windows.show_place(name)
            studio.settle(4.0)
            studio.take(window, f"place-{name}")
            window.places.close_place(name)
    run_id = window.time.run_id
    for kind in all_windows.window_classes():
        name = f"dialog-{kind.__name__}"
        if studio.wants(name):
            other = all_windows.build(kind, window, {"run_id": run_id})
            other.show()
            studio.settle(0.8)
            studio.take(other, name)
            other.close()
            other.deleteLater()
    _scenes(window, studio)
    window.close_without_asking()
    studio.settle(0.5)
    return studio.count


def measured(experiment: Experiment) -> Experiment:
    """Return an experiment with all instruments that it can have, so that no tile is empty."""
    for name in registry.names("instrument"):
        try:
            experiment = experiment.with_instrument(name, {"every": EVERY})
        except InvalidInput:
            continue  # it is of other models
    return experiment


def _scenes(window: MainWindow, studio: Studio) -> None:
    """Draw each scene, those of runs before they begin."""
    window.secondary_windows.present()
    presenter = window.secondary_windows.presenter
    assert presenter is not None and presenter.window is not None
    for at, scene in enumerate(presenter.scenes):
        if studio.wants(f"scene-{scene.name}"):
            presenter.show_place(at)
            presenter.toggle()
            player = presenter.window.player
            assert player is not None
            studio.settle(PATIENCE, lambda player=player: player.state == "ended")
            for dark in (False, True):
                presenter.window.dark = dark
                presenter.window.apply_theme()
                studio.settle(0.15)
                path = studio.folder / f"scene-{scene.name}-{'dark' if dark else 'light'}.png"
                presenter.window.grab().save(str(path))
                studio.count += 1
    presenter.close()


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; what is not known ends in usage, not in a folder of that name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/screenshots"))
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of the name of a picture")
    parser.add_argument(
        "--screen", action="append", choices=list(SCREENS), help="only this one; may be repeated"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Draw in one process a screen, since a process has one scale."""
    asked = parse(arguments)
    if os.environ.get("OPTLAB_SCREEN"):
        print(draw(asked.folder, asked.words), "pictures in", asked.folder, flush=True)
        return 0
    for name in asked.screen or SCREENS:
        width, height, scale = SCREENS[name]
        into = asked.folder / name
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as home:
            screen = {"name": name, "x": 0, "y": 0, "width": width, "height": height, "dpr": 1}
            screen |= {"logicalDpi": 96, "logicalBaseDpi": 96}
            file = Path(home) / "screen.json"
            file.write_text(json.dumps({"screens": [screen]}), encoding="utf-8")
            environment = {
                **os.environ,
                "OPTLAB_SCREEN": name,
                "OPTLAB_HOME": str(Path(home) / "home"),
                "QT_QPA_PLATFORM": f"offscreen:configfile={file}",
                "QT_SCALE_FACTOR": str(scale),
            }
            command = [sys.executable, __file__, str(into), *asked.words]
            if subprocess.run(command, env=environment, check=False).returncode:
                print(f"The pictures of {name} could not all be drawn.", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
