"""What the window does beside experiments and runs: undo, palette, help, preferences, session.

One object holds these parts and connects them to the window, which knows nothing of them but the
menu entries (:mod:`optlab.gui.manners.menu_entries`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QDialog

from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge
from optlab.gui.manners import appearance, file_dialogs, menu_entries
from optlab.gui.manners.edits import EditHistory
from optlab.gui.manners.focus_help import topic_of
from optlab.gui.manners.guided_run import GuidedRun
from optlab.gui.manners.menu_entries import ADD_CONTENDER
from optlab.gui.manners.preferences import Preferences
from optlab.gui.places import TITLES, WORKBENCH
from optlab.gui.stored_curves import show_curves
from optlab.tasks.stored_runs import RunList, RunListTask

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow
    from optlab.gui.manners.palette import CommandPalette

_KEEP_MILLISECONDS = 3000
"""Time after an edit at which the session is kept."""


class Manners(QObject):
    """The parts, and what the menus ask of them.

    Args:
        window: the main window, whose panels are built.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.session = window.session
        self.edits = EditHistory(window.experiment_panel, window.files, self)
        self.guide = GuidedRun(window)
        self._palette: CommandPalette | None = None
        self._runs = TaskBridge(None, self)
        self._runs.answered.connect(self._runs_read)
        self._name_actions()
        self.edits.changed.connect(self._name_actions)
        self.edits.refused.connect(
            lambda sentence: window.banner.show_sentence(sentence, problem=True)
        )
        self.edits.shown.connect(self._show_edit)
        window.files.opened.connect(window.recent_files.add)
        window.files.saved.connect(window.recent_files.add)
        self._apply(self.session.preferences)
        theme.notifier().themeChanged.connect(self._theme_chosen)
        self._follows_theme = True
        self._check_theme()
        # What a crash would lose otherwise.
        self._keep = QTimer(self, singleShot=True, interval=_KEEP_MILLISECONDS)
        self._keep.timeout.connect(self.session.save)
        self.edits.changed.connect(self._keep.start)

    def restore(self, given: Experiment | None) -> None:
        """Restore the session, once an experiment is shown.

        Args:
            given: the experiment that the user has asked for, which replaces that of the session.
        """
        session, window = self.session, self._window
        session.register("folder", file_dialogs.MEMORY)
        session.register("recent files", window.recent_files)
        session.register("sections", _Sections(window))
        session.register("experiment", _Shown(window, restores=given is None))
        session.register("runs", window.runs)
        session.register("board", window.board)
        session.register("run", _Run(window, restores=given is None))
        session.register("place", _Place(window))
        self.edits.clear()
        # The parts of the window have added theirs since.
        menu_entries.name_actions(window.menuBar())
        if session.problems:
            window.banner.show_sentence(" ".join(session.problems), problem=True)

    def after_first_paint(self) -> None:
        """Show the doors at the first start."""
        if self.session.stored and self.session.first:
            self.show_doors()
            self.session.save()

    def shut_down(self) -> None:
        """Keep the session; the window closes."""
        if self._follows_theme:  # a window may be closed twice
            self._follows_theme = False
            theme.notifier().themeChanged.disconnect(self._theme_chosen)
        self._runs.shut_down()
        self._keep.stop()
        # A dialog that stays open would keep the program alive without a window.
        for dialog in self._window.findChildren(QDialog):
            if dialog.isVisible():
                dialog.reject()
        self.session.save()

    # --- undo -------------------------------------------------------------------------------------

    def _name_actions(self) -> None:
        for name, word, text in (
            ("actionUndo", "&Undo", self.edits.undo_text()),
            ("actionRedo", "&Redo", self.edits.redo_text()),
        ):
            action = self._window.findChild(QAction, name)
            if action is not None:
                action.setText(f"{word} {text}".rstrip())
                action.setEnabled(bool(text))

    def _show_edit(self) -> None:
        """Show what an edit that was undone or redone has changed."""
        self._window.instruments.set_tables(self._window.experiment_panel.instruments())
        self._window.places.show_place(WORKBENCH)

    # --- finding things ---------------------------------------------------------------------------

    def search_form(self) -> None:
        """Put the focus into the search line of the form."""
        self._window.experiment_panel.search.setFocus()
        self._window.experiment_panel.search.selectAll()

    def show_palette(self) -> None:
        """Open the command palette; stored runs come as soon as they have been read."""
        from optlab.gui.manners import palette

        window, others = self._window, self._window.secondary_windows
        dialog = palette.CommandPalette(
            [
                *palette.command_entries(window.menuBar()),
                *palette.preset_entries(window.files.load),
                *palette.catalogue_entries(
                    window.when_editable(window.experiment_panel.pick), others.show_page
                ),
            ],
            window,
        )

        self._palette = dialog
        dialog.finished.connect(lambda _result: self._palette_closed(dialog))
        self._runs.ask(RunListTask())
        dialog.open()

    def _palette_closed(self, dialog: CommandPalette) -> None:
        if self._palette is dialog:
            self._palette = None
        dialog.deleteLater()

    def _runs_read(self, runs: RunList) -> None:
        from optlab.gui.manners.palette import run_entries

        if self._palette is not None:
            self._palette.add(run_entries(runs.records, self._window.show_stored))

    def show_shortcuts(self) -> None:
        """Open the overview of shortcuts."""
        from optlab.gui.manners.shortcuts import ShortcutsDialog

        dialog = ShortcutsDialog(self._window.menuBar(), self._window)
        dialog.finished.connect(lambda _result: dialog.deleteLater())
        dialog.open()

    def show_help(self) -> None:
        """Open the page of what has the focus; the catalogue where nothing there has a page."""
        topic = topic_of(QApplication.focusWidget())
        if topic is None:
            self._window.secondary_windows.show_catalogue()
        else:
            kind, name, field = topic
            self._window.secondary_windows.show_page(kind, name, field)

    # --- preferences ------------------------------------------------------------------------------

    def show_preferences(self) -> None:
        """Open the preferences, and put in force what the user accepts."""
        from optlab.gui.manners.preferences_dialog import PreferencesDialog

        dialog = PreferencesDialog(self.session.preferences, self._window)
        dialog.accepted.connect(lambda: self.prefer(dialog.preferences()))
        dialog.finished.connect(lambda _result: dialog.deleteLater())
        dialog.open()

    def prefer(self, preferences: Preferences) -> None:
        """Put preferences in force and keep them."""
        problem = self.session.prefer(preferences)
        appearance.apply(preferences)
        self._apply(preferences)
        if problem:
            self._window.banner.show_sentence(problem, problem=True)

    def _apply(self, preferences: Preferences) -> None:
        window = self._window
        window.bridge.snapshot_bytes = preferences.snapshot_megabytes * 2**20
        window.files.preset_threads = preferences.threads
        if not window.bridge.active:
            window.timeline.set_pace(preferences.pace)

    def _theme_chosen(self) -> None:
        """Keep the theme that was chosen in the menu, and check its entry."""
        if self.session.preferences.theme != theme.choice():
            self.session.prefer(replace(self.session.preferences, theme=theme.choice()))
        self._check_theme()

    def _check_theme(self) -> None:
        for name in get_args(theme.ThemeName):
            action = self._window.findChild(QAction, f"action{name.capitalize()}Colors")
            if action is not None:
                action.setChecked(name == theme.choice())

    # --- the first start --------------------------------------------------------------------------

    def show_doors(self) -> None:
        """Open the three doors."""
        from optlab.gui.manners.doors import Doors

        window = self._window
        action = window.findChild(QAction, ADD_CONTENDER)
        doors = Doors(
            self.guide.begin,
            window.when_editable(window.secondary_windows.import_data),
            action.trigger if action is not None and action.isEnabled() else None,
            window,
        )
        doors.finished.connect(lambda _result: doors.deleteLater())
        doors.open()


class _Sections:
    """Which sections of the form are open; a participant of the session."""

    def __init__(self, window: MainWindow) -> None:
        self._form = window.experiment_panel.form

    def state(self) -> list[str]:
        return self._form.opened()

    def restore(self, state: list[str]) -> None:
        self._form.set_opened(set(state))


class _Place:
    """Which place is in front; a participant of the session."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window

    def state(self) -> str:
        return self._window.places.current

    def restore(self, state: str) -> None:
        if state not in TITLES:
            raise ValueError(state)
        # Building a place takes a while: after what is seen first.
        QTimer.singleShot(0, self._window, lambda: self._window.places.show_place(state))


class _Run:
    """The run that the plots show; a participant of the session."""

    def __init__(self, window: MainWindow, *, restores: bool) -> None:
        self._window, self._restores = window, restores

    def state(self) -> str:
        return next(iter(self._window.shown_run.run_ids), "")

    def restore(self, state: str) -> None:
        if not isinstance(state, str):
            raise TypeError("no name of a run")
        if state and self._restores:
            QTimer.singleShot(0, self._window, lambda: self._read(state))

    def _read(self, run_id: str) -> None:
        window = self._window
        if not (window.shown_run.run_ids or window.bridge.active or window.stored_runs.reading):
            window.stored_runs.read(run_id, partial(show_curves, window), by_itself=True)


class _Shown:
    """The experiment in the editor, edited or not; a participant of the session."""

    def __init__(self, window: MainWindow, *, restores: bool) -> None:
        self._panel, self._files, self._restores = window.experiment_panel, window.files, restores
        self._windows = window.secondary_windows

    def state(self) -> dict[str, Any]:
        # While a scene is presented, the editor may hold that of the scene.
        replaced = self._windows.replaced_experiment
        tables, saved = replaced or (self._panel.tables(), self._panel.saved())
        return {
            "tables": saved if self._files.discarded else tables,
            "saved": saved,
            "file": str(self._files.file) if self._files.file is not None else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        if not self._restores:
            return
        tables, saved, file = state["tables"], state["saved"], state["file"]
        if not isinstance(saved, dict):
            raise TypeError("no tables")
        path = Path(file) if file else None
        before = self._panel.tables()
        try:
            self._panel.show_tables(tables, saved)
        except OptLabError:
            self._panel.show_tables(before, before)
            raise
        self._files.set_file(path)
