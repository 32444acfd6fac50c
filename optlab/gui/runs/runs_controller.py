"""Connects the runs panel: to the store, to the plots, and to the run that the window follows."""

# A protocol is no concrete class, and isinstance accepts it all the same.
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QPoint, QTimer, Signal
from PySide6.QtGui import QAction, QActionGroup, QGuiApplication
from PySide6.QtWidgets import QInputDialog, QWidget

from optlab.core.printable import printable
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge
from optlab.gui.instruments.instrument_plot import InstrumentPlot
from optlab.gui.manners import file_dialogs
from optlab.gui.plots.linked_plot import LinkedPlot
from optlab.gui.plots.plot_link import PlotLink
from optlab.gui.plots.tiles import OverlaysRuns
from optlab.gui.runs.live_scale import LiveScale
from optlab.gui.runs.overlays import OverlayController
from optlab.gui.runs.run_columns import DEFAULT, available
from optlab.gui.runs.run_nodes import GROUPINGS, Grouping
from optlab.gui.runs.runs_menu import RunsMenu
from optlab.gui.runs.runs_panel import RunsPanel
from optlab.gui.runs.shown_runs import ShownRuns
from optlab.store import RunRecord, records
from optlab.store.labels import Labels
from optlab.tasks.run_command import RunCommandTask
from optlab.tasks.run_labels import LabelRunsTask, MarkDeletedTask
from optlab.tasks.run_table import RunChangesTask, RunTable, RunTableTask
from optlab.tasks.stored_runs import ExportRunTask
from optlab.tasks.task import Task

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow

POLL_MILLISECONDS = 1500
"""Time between two looks at what other processes have stored."""
_SOON_MILLISECONDS = 150


class RunsController(QObject):
    """Reads the runs and keeps them up to date, writes what the user says of them, and shows them.

    Args:
        window: all of its other panels are built.

    Attributes:
        shown: which runs are visible and selected. link: what the plots share.
        panel: the runs panel. overlays: lays the runs over the plots.

    Signals: ``tableRead(object)``: the runs as they are now; ``noticed(str)``: damage of the store.
    """

    tableRead = Signal(object)
    noticed = Signal(str)

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.shown = ShownRuns(self)
        self.link = PlotLink(window)
        self.panel = RunsPanel(self.shown)
        self.panel.add_above(window.beside.strip)
        window.place_runs(self.panel)
        self._table: RunTable | None = None
        self._opened = records.now()
        self._linked: set[int] = set()
        self._undo: list[tuple[str, Task]] = []
        self._closed = False
        self._writes: list[tuple[Task, Callable[[Any], object]]] = []
        self._done: Callable[[Any], object] = lambda _result: None
        self.reading, self.writing = TaskBridge(None, self), TaskBridge(None, self)
        self.reading.answered.connect(self._read)
        self.reading.failed.connect(self.panel.show_problem)
        self.writing.answered.connect(self._answered)
        self.writing.failed.connect(self.panel.show_problem)
        self.writing.finished.connect(self._written)
        self.live = LiveScale(window.bridge, self._linkable, self)
        self.overlays = OverlayController(self.shown, self.link, self._plots, self)
        self.overlays.failed.connect(self.panel.show_problem)
        self.shown.refused.connect(self.panel.show_problem)
        self._soon = QTimer(self, singleShot=True, interval=_SOON_MILLISECONDS)
        self._soon.timeout.connect(self.look)
        self._poll = QTimer(self, interval=POLL_MILLISECONDS)
        self._poll.timeout.connect(self.look)
        self._menu = window.findChild(RunsMenu)
        self._build_menus()
        self._connect()
        self.overlays.update()

    def _connect(self) -> None:
        window, panel = self._window, self.panel
        panel.selectionChanged.connect(self._selection_changed)
        panel.menuWanted.connect(self._show_menu)
        panel.undoRequested.connect(self.undo)
        panel.tree.eyeToggled.connect(self.toggle_visible)
        panel.tree.deleteRequested.connect(self.delete)
        panel.tree.openRequested.connect(self.open_curves)
        panel.tree.doubleClicked.connect(lambda _index: self.open_curves())
        panel.model.renamed.connect(lambda run, name: self._label({run: Labels(name=name)}, "name"))
        panel.model.starred.connect(
            lambda runs, star: self._label(dict.fromkeys(runs, Labels(starred=star)), "star")
        )
        window.shown_run.identified.connect(self._followed)
        window.bridge.sessionEnded.connect(self._selection_changed)
        window.beside.runs.ended.connect(self._selection_changed)
        window.plots.plotAdded.connect(lambda _plot: self.overlays.update())
        window.instruments.switched.connect(lambda _name, _values: self.overlays.update())
        theme.notifier().themeChanged.connect(panel.tree.viewport().update)

    # --- reading --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Read the runs, and from then on what changes. Runs that were deleted before are removed."""
        self.reading.ask(RunTableTask(self._opened))
        self._poll.start()

    def look(self) -> None:
        """Look for changes, unless nobody could see them."""
        window = self._window.window()
        seen = window.isVisible() and not window.isMinimized()
        self.overlays.check()
        if self._table is not None and not self.reading.active and seen:
            self.reading.ask(RunChangesTask(self._table))

    def look_soon(self) -> None:
        """Look for changes as soon as what is going on has been written."""
        if not self._closed:
            self._soon.start()

    def _read(self, table: RunTable | None) -> None:
        if table is None:
            return
        self._table = table
        if table.notice:
            self.noticed.emit(table.notice)
        self.panel.set_table(table)
        self.shown.set_table(table)
        self.overlays.set_table(table)
        self.tableRead.emit(table)

    def _followed(self, run_id: str, title: str, live: bool) -> None:
        self.shown.set_own(run_id, title, live=live)
        self.look_soon()

    def _plots(self) -> list[OverlaysRuns]:
        """Return the plots on which other runs can be laid; new ones are linked with the others."""
        for plot in self._linkable():
            if id(plot) not in self._linked:
                self._linked.add(id(plot))
                plot.destroyed.connect(partial(self._linked.discard, id(plot)))
                plot.set_link(self.link)
                plot.set_scale(self.live.scale)
        return [*self._window.plots.of(OverlaysRuns), *self._instrument_plots()]

    def _instrument_plots(self) -> list[InstrumentPlot]:
        """Return the plots of the instruments that are switched on."""
        found = [
            plot
            for card in self._window.instruments.cards.values()
            if card.on
            for plot in card.plots.values()
            if isinstance(plot, InstrumentPlot)
        ]
        return list(dict.fromkeys(found))

    def _linkable(self) -> list[LinkedPlot]:
        """Return the plots over steps of all tiles, those inside of other widgets included."""
        tiles = self._window.plots.of(QWidget)  # every plot is one
        inside = [part for tile in tiles for part in tile.findChildren(LinkedPlot)]
        own = [tile for tile in tiles if isinstance(tile, LinkedPlot)]
        return [*own, *inside, *self._instrument_plots()]

    # --- the panel ------------------------------------------------------------------------------

    def find(self) -> None:
        """Show the runs and go to their filter."""
        self._window.runs_action.setChecked(True)
        self.panel.filter.setFocus()
        self.panel.filter.selectAll()

    def toggle_visible(self) -> None:
        """Show the curves of the selected runs, or hide them where all are shown."""
        runs = self.panel.selected_runs()
        self.shown.set_visible(runs, not all(map(self.shown.is_visible, runs)))

    def show_only(self) -> None:
        """Show the selected runs beside the run that the plots follow, and no other."""
        chosen = self.panel.selected_runs()
        self.shown.set_visible([run for run in self.shown.visible if run not in chosen], False)
        self.shown.set_visible(chosen, True)

    def hide_all(self) -> None:
        """Hide all runs but the one that the plots follow."""
        self.shown.set_visible(self.shown.visible, False)

    def open_curves(self) -> None:
        """Let the plots follow the selected run, with its timeline and diagnosis."""
        record = self._selected()
        if record is not None:
            self._window.show_stored(record.id)

    def open_experiment(self) -> None:
        """Show the experiment of the selected run in the editor."""
        record = self._selected()
        if record is not None and not self._window.bridge.active:
            self._window.files.load_document(record.experiment)

    def resume(self) -> None:
        """Resume the selected run."""
        record = self._selected()
        if record is not None and record.resumable and not self._window.bridge.active:
            self._window.resume(record.id)

    def show_test_part(self) -> None:
        """Evaluate the selected run on its test part."""
        record = self._selected()
        if record is not None and not record.going:
            self._window.secondary_windows.show_test_part(record.id)

    def compare(self) -> None:
        """Show the selected runs side by side in their place."""
        runs = self.panel.selected_runs()
        if len(runs) > 1:
            self._window.secondary_windows.compare_runs(runs)

    def add_contender(self) -> None:
        """Compare the experiment of the selected run with others, in the editor of a study."""
        record = self._selected()
        if record is not None:
            self._window.contenders.add_to_run(record.experiment, record.title)

    def export(self) -> None:
        """Write the series of the selected run to a file."""
        record = self._selected()
        if record is None:
            return
        kinds = {"CSV table (*.csv)": "csv", "Parquet table (*.parquet)": "parquet"}
        name, kind = file_dialogs.save_file(
            self._window, "Export run", f"{record.id}.csv", ";;".join(kinds)
        )
        if name:
            ending = Path(name).suffix.removeprefix(".")
            format_ = ending if ending in kinds.values() else kinds[kind]
            self.panel.say(f"Writing {name}…")
            self._write(
                ExportRunTask(record.id, format_, Path(name)),
                lambda path: self.panel.say(f"Written to {path}."),
            )

    def copy_id(self) -> None:
        """Copy the ids of the selected runs."""
        QGuiApplication.clipboard().setText(" ".join(self.panel.selected_runs()))

    def copy_command(self) -> None:
        """Copy the command that trains what the selected run has trained."""
        record = self._selected()
        if record is not None:
            self._write(RunCommandTask(record.id), self._copied)

    def _copied(self, command: str) -> None:
        QGuiApplication.clipboard().setText(command)
        self.panel.say(f"Copied: {printable(command)}")

    # --- labels ---------------------------------------------------------------------------------

    def rename(self) -> None:
        """Let the user type a name of the selected run."""
        self.panel.edit_name()

    def star(self) -> None:
        """Give the selected runs a star, or take it away where all have one."""
        rows = [row for run in self.panel.selected_runs() if (row := self.panel.model.row_of(run))]
        star = not all(row.record.starred for row in rows)
        self._label({row.record.id: Labels(starred=star) for row in rows}, "star")

    def edit_tags(self) -> None:
        """Ask for the tags of the selected runs."""
        rows = [row for run in self.panel.selected_runs() if (row := self.panel.model.row_of(run))]
        if not rows:
            return
        text, accepted = QInputDialog.getText(
            self._window,
            "Tags",
            "Tags, with commas between them:",
            text=", ".join(rows[0].record.tags),
        )
        if accepted:
            tags = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
            self._label({row.record.id: Labels(tags=tags) for row in rows}, "tags")

    def edit_note(self) -> None:
        """Ask for the note of the selected run."""
        record = self._selected()
        if record is None:
            return
        text, accepted = QInputDialog.getMultiLineText(self._window, "Note", "Note:", record.note)
        if accepted:
            self._label({record.id: Labels(note=text.strip())}, "note")

    def set_color(self, color: int) -> None:
        """Give the selected runs a color of the palette."""
        runs = self.panel.selected_runs()
        self._label(dict.fromkeys(runs, Labels(color=color)), "color")

    def delete(self) -> None:
        """Delete the selected runs; until the window is opened again, that can be undone."""
        runs = tuple(self.panel.selected_runs())
        if not runs:
            return
        names = self._count(runs)
        self._write(
            MarkDeletedTask(runs),
            lambda _ids: self._undoable(f"Deleted {names}.", MarkDeletedTask(runs, deleted=False)),
        )

    def undo(self) -> None:
        """Take back the last label or deletion."""
        if self._undo:
            _, task = self._undo.pop()
            self._write(task, lambda _result: self.panel.say(""))
        self._menu_undo()

    def _label(self, labels: Mapping[str, Labels], what: str) -> None:
        if not labels:
            return
        names = self._count(tuple(labels))
        self._write(
            LabelRunsTask(labels),
            lambda before: self._undoable(
                f"Changed the {what} of {names}.", LabelRunsTask(before), say=False
            ),
        )

    def _undoable(self, sentence: str, back: Task, *, say: bool = True) -> None:
        self._undo.append((sentence, back))
        self._menu_undo()
        if say:
            self.panel.say(sentence, undo=True)

    def _menu_undo(self) -> None:
        if self._menu is not None:
            last = self._undo[-1][0] if self._undo else ""
            self._menu.undo.setEnabled(bool(last))
            self._menu.undo.setToolTip(printable(last))

    def _count(self, runs: tuple[str, ...]) -> str:
        if len(runs) > 1:
            return f"{len(runs):,} runs"
        node = self.panel.model.node(self.panel.model.index_of(f"run {runs[0]}"))
        return f"“{printable(self.panel.model.name_of(node))}”" if node else runs[0]

    # --- writing --------------------------------------------------------------------------------

    def _write(self, task: Task, done: Callable[[Any], object]) -> None:
        """Execute a task after those that are waiting: each of them counts."""
        self._writes.append((task, done))
        if not self.writing.active:
            self._next_write()

    def _next_write(self) -> None:
        if self._writes:
            task, self._done = self._writes.pop(0)
            self.panel.show_problem("")
            self.writing.ask(task)

    def _answered(self, result: object) -> None:
        self._done(result)

    def _written(self) -> None:
        self.look()
        self._next_write()

    # --- menus ----------------------------------------------------------------------------------

    def _build_menus(self) -> None:
        if self._menu is None:
            return
        for number, _ in enumerate(theme.current().plots.palette):
            action = QAction(f"Color {number + 1}", self._menu.colors)
            action.triggered.connect(lambda _checked=False, color=number: self.set_color(color))
            self._menu.colors.addAction(action)
        self._menu.colors.aboutToShow.connect(self._paint_colors)
        group = QActionGroup(self._menu)
        for grouping, text in GROUPINGS.items():
            action = QAction(text, self._menu.grouping)
            action.setCheckable(True)
            action.setChecked(grouping == self.panel.model.grouping)
            action.triggered.connect(
                lambda _checked=False, chosen=grouping: self.set_grouping(chosen)
            )
            group.addAction(action)
            self._menu.grouping.addAction(action)
        self._menu.columns.aboutToShow.connect(self._fill_columns)
        for menu in self.link.menus:
            self._menu.plots.addMenu(menu)

    def set_grouping(self, grouping: Grouping) -> None:
        """Set what is a group in the panel."""
        self.panel.model.set_grouping(grouping)
        if self._menu is not None:
            actions = self._menu.grouping.actions()
            actions[list(GROUPINGS).index(grouping)].setChecked(True)

    def _paint_colors(self) -> None:
        from optlab.gui.runs.run_tree_model import swatch

        for number, action in enumerate(self._menu.colors.actions() if self._menu else ()):
            action.setIcon(swatch(number))

    def _fill_columns(self) -> None:
        assert self._menu is not None
        menu = self._menu.columns
        menu.clear()
        chosen = [column.key for column in self.panel.model.columns[1:]]
        for title, columns in available(self.panel.model.table.rows.values()).items():
            part = menu.addMenu(title) if title else menu
            for column in columns:
                action = QAction(printable(column.title), part)
                action.setCheckable(True)
                action.setChecked(column.key in chosen)
                action.toggled.connect(
                    lambda shown, key=column.key: self._switch_column(key, shown)
                )
                part.addAction(action)

    def _switch_column(self, key: str, shown: bool) -> None:
        keys = [column.key for column in self.panel.model.columns[1:] if column.key != key]
        self.panel.set_columns([*keys, key] if shown else keys)

    def _show_menu(self, position: QPoint) -> None:
        if self._menu is not None:
            self._menu.popup(position)

    def _selected(self) -> RunRecord | None:
        """Return the run where exactly one is selected."""
        runs = self.panel.selected_runs()
        row = self.panel.model.row_of(runs[0]) if len(runs) == 1 else None
        return None if row is None else row.record

    def _selection_changed(self) -> None:
        if self._menu is None:
            return
        runs, record = self.panel.selected_runs(), self._selected()
        idle = not self._window.bridge.active
        names: set[str] = set()
        if runs:
            names |= {"toggle_visible", "show_only", "star", "edit_tags", "copy_id"}
            rows = [self.panel.model.row_of(run) for run in runs]
            if all(row is not None and not row.record.going for row in rows):
                names.add("delete")
        if len(runs) > 1:
            names.add("compare")
        if record is not None:
            names |= {"rename", "edit_note", "export", "copy_command", "add_contender"}
            names |= {"open_curves"} | ({"open_experiment"} if idle else set())
            names |= {"resume"} if idle and record.resumable else set()
            names |= set() if record.going else {"show_test_part"}
        self._menu.enable(names | self._window.beside.acts_on(runs))

    # --- the session ----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what is shown and how, for :meth:`restore` in a later session."""
        return {
            "shown": self.shown.state(),
            "curves": self.link.state(),
            "columns": [column.key for column in self.panel.model.columns[1:]],
            "grouping": self.panel.model.grouping,
        }

    def restore(self, state: object) -> None:
        """Show what :meth:`state` has returned; what cannot be read is left as it is."""
        if not isinstance(state, Mapping):
            return
        self.shown.restore(state.get("shown"))
        self.link.restore(state.get("curves"))
        columns = state.get("columns")
        if isinstance(columns, list) and all(isinstance(key, str) for key in columns):
            self.panel.set_columns(columns or DEFAULT)
        if state.get("grouping") in GROUPINGS:
            self.set_grouping(state["grouping"])

    def shut_down(self) -> None:
        """Cancel what is being read; what is being written is completed."""
        self._closed = True
        self._poll.stop()
        self._soon.stop()
        for part in (self.overlays, self.reading, self.writing):
            part.shut_down()
