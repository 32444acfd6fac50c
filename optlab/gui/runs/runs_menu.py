"""The menu of runs: in the menu bar from the first paint on, and at the mouse in the runs panel.

It imports nothing that is large. What it does is done by
:class:`~optlab.gui.runs.runs_controller.RunsController`, which fills in the parts that depend on
the runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow


class RunsMenu(QMenu):
    """Everything that can be done with the selected runs.

    Attributes:
        of_runs: name → action that needs a selected run; they are disabled without one.
        undo: takes back the last label or deletion.
        colors, grouping, columns, plots: empty until the panels are built.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__("&Runs", window)
        self._window = window
        self.of_runs: dict[str, QAction] = {}
        self.addAction(window.runs_action)
        self._add("&Find a run…", "find", "Ctrl+R")
        self.addSeparator()
        self._of_runs("Show or hide the c&urves", "toggle_visible")
        self._of_runs("Show &only these", "show_only")
        self._add("&Hide all", "hide_all")
        self.addSeparator()
        self._of_runs("&Look at this run", "open_curves")
        self._of_runs("Pause or go on", "pause_selected", of="beside")
        self._of_runs("Stop this run", "stop_selected", of="beside")
        self._of_runs("Open the &experiment", "open_experiment")
        self._of_runs("&Resume", "resume")
        self._of_runs("&Test part…", "show_test_part")
        self._of_runs("Compare &with each other", "compare")
        self._of_runs("Add a contender to th&is run…", "add_contender")
        self._of_runs("E&xport series…", "export")
        self._of_runs("&Copy the run as command", "copy_command")
        self._of_runs("Copy i&d", "copy_id")
        self.addSeparator()
        self._of_runs("Re&name…", "rename")
        self._of_runs("&Star", "star")
        self._of_runs("Ta&gs…", "edit_tags")
        self._of_runs("N&ote…", "edit_note")
        self.colors = self.addMenu("Co&lor")
        self._of_runs("Delete", "delete")
        self.undo = self._add("Undo the last label or deletion", "undo")
        self.undo.setEnabled(False)
        self.addSeparator()
        self.grouping = self.addMenu("Grou&p")
        self.columns = self.addMenu("Colu&mns")
        self.plots = self.addMenu("C&urves")

    def enable(self, names: set[str]) -> None:
        """Enable the actions of these names, and disable the others that need a run."""
        for name, action in self.of_runs.items():
            action.setEnabled(name in names)
        self.colors.setEnabled("rename" in names or "star" in names)

    def _of_runs(self, text: str, name: str, *, of: str = "runs") -> None:
        action = self._add(text, name, of=of)
        action.setEnabled(False)
        self.of_runs[name] = action

    def _add(self, text: str, name: str, shortcut: str = "", *, of: str = "runs") -> QAction:
        action = QAction(text, self)
        if shortcut:
            action.setShortcut(QKeySequence(shortcut))
        action.triggered.connect(partial(self._do, of, name))
        self.addAction(action)
        return action

    def _do(self, of: str, name: str, *_checked: bool) -> None:
        self._window.complete()
        act: Callable[[], object] = getattr(getattr(self._window, of), name)
        act()
