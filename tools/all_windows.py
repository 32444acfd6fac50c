"""Every window and dialog of the program, found by walking ``optlab.gui``.

The screenshots and the test of screen sizes go through this walk, so a new window is drawn and
measured without being named anywhere. Its constructor's arguments are given by their names.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

from PySide6.QtWidgets import QDialog, QMainWindow, QWidget

import optlab.gui
from optlab.experiment import Experiment
from optlab.experiment.named import load
from optlab.gui.main_window import MainWindow
from optlab.gui.manners.palette import command_entries

ENDINGS = ("Window", "Dialog")
"""Ends of the names of windows that derive from QWidget."""


class Unknown(LookupError):
    """A window wants an argument that this file has no value for."""


def window_classes() -> list[type[QWidget]]:
    """Return the classes of all windows and dialogs but the main window, by name."""
    found: dict[str, type[QWidget]] = {}
    for module in pkgutil.walk_packages(optlab.gui.__path__, "optlab.gui."):
        loaded = importlib.import_module(module.name)
        for name, kind in inspect.getmembers(loaded, inspect.isclass):
            if kind.__module__ != module.name or name.startswith("_"):
                continue
            is_window = issubclass(kind, QDialog | QMainWindow) or (
                issubclass(kind, QWidget) and name.endswith(ENDINGS)
            )
            if is_window and not issubclass(MainWindow, kind):
                found[name] = kind
    return [found[name] for name in sorted(found)]


def build(kind: type[QWidget], window: MainWindow, more: Mapping[str, Any]) -> QWidget:
    """Return a window of a class.

    Args:
        kind: its class. window: the main window. more: name of a parameter → its value.

    Raises:
        Unknown: a parameter has no value and no default.
    """
    known: dict[str, Any] = {
        "prewarmer": window._prewarmer,
        "_prewarmer": window._prewarmer,
        "pool": window._prewarmer.pool,
        "bridge": window.bridge,
        "parent": window,
        "window": window,
        "above": window,
        "panel": window.experiment_panel,
        "kind": "optimizer",
        "name": "adam",
        "failure": "",
        "title": "A title",
        "text": "A text.",
        "error": RuntimeError("an error"),
        "menus": window.menuBar(),
        "menu_bar": window.menuBar(),
        "entries": command_entries(window.menuBar()),
        "document": window.experiment_panel.experiment(check=False).to_toml(),
        "presets": ["digits-mlp"],
        "arms": {"momentum": {}, "adam": {"optimizer.name": "adam"}},
        "preferences": window.session.preferences,
        "show_me": window.manners.guide.begin,
        "my_data": window.secondary_windows.import_data,
        "compare": None,
        "place": QWidget(),
        "content": QWidget(),
        **more,
    }
    arguments: dict[str, Any] = {}
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in known:
            arguments[parameter.name] = known[parameter.name]
        elif parameter.default is parameter.empty:
            raise Unknown(
                f"{kind.__name__} wants {parameter.name}: give it a value in tools/all_windows.py."
            )
    places = issubclass(kind, QMainWindow)
    if places:
        arguments.pop("parent", None)
    return kind(**arguments)


def preset(name: str, steps: int) -> Experiment:
    """Return a preset of so many steps."""
    return load(name).with_values({"budget.steps": steps})


def windows(
    window: MainWindow, more: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, QWidget]]:
    """Yield name and widget of every window; who iterates shows, hides and deletes it."""
    for kind in window_classes():
        yield kind.__name__, build(kind, window, more or {})
