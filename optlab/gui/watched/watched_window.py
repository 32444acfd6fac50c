"""The window of watched runs: training loops and logs of other programs, live and afterwards.

A timer asks every second for what is new in the folder; a task reads it in the background. Runs and
series are ticked in two lists, and each ticked series is a tile in which all ticked runs are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QElapsedTimer, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from optlab.core.printable import printable
from optlab.experiment.series_labels import watched_label
from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.manners import file_dialogs
from optlab.gui.panels.tile import Tile
from optlab.gui.plain_text import PlainLabel, wrapped_label
from optlab.gui.plots.subject import set_subject
from optlab.gui.watched.watched_plot import WatchedPlot
from optlab.outside.foreign_runs.records import ForeignRun, ForeignSeries, NewValues
from optlab.tasks.watched_runs import FolderNews, FolderNewsTask, sentence
from optlab.watch.start import default_folder

LOOK_MILLISECONDS = 1000
"""Time between two looks into the folder."""
_LOOK_SHARE = 0.05
"""Largest share of the time that looking may take: large folders are looked into less often."""
_LONGEST_PAUSE = 10_000
"""Milliseconds between two looks, at most: one look may be slow because the machine was busy."""
_COLUMNS = 2
_FIRST = ("loss", "gradient_norm", "update_ratio", "lr")
"""Series that are drawn unless others are ticked: of each, the first one with such a name."""
_HINT = "The series that are ticked on the left are drawn here."
_KEY = Qt.ItemDataRole.UserRole + 1


class WatchedWindow(QMainWindow):
    """The window of watched runs.

    Args:
        folder: of the runs; by default that into which ``optlab.watch`` writes.

    Signals: ``closed()``: the user closed the window.
    """

    closed = Signal()

    def __init__(
        self,
        _prewarmer: WorkerPrewarmer | None = None,
        folder: Path | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Watched runs – OptLab")
        resize_to_screen(self, 1360, 860)
        # Reading waits for the disk more than it computes.
        self.tasks = TaskBridge(None, self)
        self.runs: dict[str, ForeignRun] = {}
        self.statuses: dict[str, str] = {}
        self.plots: dict[str, WatchedPlot] = {}
        self._tiles: dict[str, Tile] = {}
        self._listed: set[str] = set()
        self._folder = folder or default_folder()
        self._chosen = False
        self.run_list, self.series_list = QListWidget(), QListWidget()
        self.events = QPlainTextEdit()
        self.status_label = PlainLabel("")
        self.folder_button = QPushButton("Open folder…")
        self._board, self._hint = QGridLayout(), wrapped_label("muted")
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MILLISECONDS)
        self._asked = QElapsedTimer()
        self._build()
        self._timer.timeout.connect(self._look)
        self.tasks.answered.connect(self._add)
        self.tasks.failed.connect(self.status_label.setText)
        self.run_list.itemChanged.connect(lambda _item: self._redraw())
        self.series_list.itemChanged.connect(self._series_ticked)
        self.folder_button.clicked.connect(self._choose_folder)
        theme.notifier().themeChanged.connect(self.apply_theme)
        self.show_folder(self._folder)

    def _build(self) -> None:
        self.run_list.setAccessibleName("Watched runs")
        self.series_list.setAccessibleName("Series")
        self.events.setAccessibleName("What was noticed")
        self.events.setReadOnly(True)
        self.events.setMaximumBlockCount(2000)
        self.events.setPlaceholderText(
            "Jumps of the loss and values that are not finite appear here."
        )
        self.status_label.setWordWrap(True)
        left = QSplitter(Qt.Orientation.Vertical)
        left.setChildrenCollapsible(False)
        for title, widget in (("Runs", self.run_list), ("Series", self.series_list)):
            left.addWidget(Tile(title, widget))
        left.setMinimumWidth(280)
        board = QWidget()
        board.setLayout(self._board)
        self._hint.setText(_HINT)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._board.addWidget(self._hint, 0, 0)
        right = QSplitter(Qt.Orientation.Vertical)
        right.setChildrenCollapsible(False)
        right.addWidget(scrollable(board))
        right.addWidget(Tile("Noticed", self.events))
        right.setSizes([650, 150])
        split = QSplitter()
        split.setChildrenCollapsible(False)
        split.addWidget(left)
        split.addWidget(right)
        split.setSizes([320, 1040])
        foot = QHBoxLayout()
        foot.addWidget(self.status_label, 1)
        foot.addWidget(self.folder_button)
        layout = QVBoxLayout()
        layout.addWidget(split, 1)
        layout.addLayout(foot)
        content = QWidget()
        content.setLayout(layout)
        self.setCentralWidget(scrollable(content))

    def apply_theme(self) -> None:
        """Apply the colors of the theme to the plots."""
        for plot in self.plots.values():
            plot.set_colors(theme.current().plots)

    # --- the folder -------------------------------------------------------------------------------

    def show_folder(self, folder: Path) -> None:
        """Show the runs of a folder in place of those of the one before."""
        self._folder = folder
        self.runs.clear()
        self.statuses.clear()
        self._listed.clear()
        self._chosen = False
        for series in tuple(self.plots):
            self._remove_plot(series)
        self.run_list.clear()
        self.series_list.clear()
        self.events.clear()
        self.status_label.setText(f"Reading {printable(str(folder))}…")
        self._look()
        self._timer.start()

    def _choose_folder(self) -> None:
        chosen = file_dialogs.existing_folder(self, "Folder of watched runs", str(self._folder))
        if chosen:
            self.show_folder(Path(chosen))

    def _look(self) -> None:
        if self.tasks.active:
            return
        ended = {"finished", "stopped", "failed"}
        known = {
            name: None if self.statuses.get(name) in ended else (run.identity, run.end)
            for name, run in self.runs.items()
        }
        self._asked.start()
        self.tasks.ask(FolderNewsTask(self._folder, known))

    def _add(self, news: FolderNews) -> None:
        if news.folder != self._folder:
            return
        pause = min(int(self._asked.elapsed() / _LOOK_SHARE), _LONGEST_PAUSE)
        if self._timer.isActive() and pause > LOOK_MILLISECONDS:
            self._timer.start(pause)
        elif self._timer.interval() > LOOK_MILLISECONDS:
            self._timer.start(LOOK_MILLISECONDS)
        for name, (source, identity) in news.found.items():
            self.runs[name] = ForeignRun(source, identity)
            self._add_run(name)
        self.statuses.update(news.statuses)
        for name, values in news.news.items():
            self._add_values(name, values)
        for number in range(self.run_list.count()):
            self._describe(self.run_list.item(number))
        if not self._chosen and self.series_list.count():
            self._choose_series()
        for plot in self.plots.values():
            plot.refresh()
        self._say(news)

    def _add_values(self, name: str, values: NewValues) -> None:
        run = self.runs[name]
        run.add(values)
        for event in values.events:
            if event.get("kind") in ("spike", "non_finite"):
                title = printable(run.identity.title)
                self.events.appendPlainText(f"{title}: {printable(sentence(event))}")
        ticked = name in self.ticked_runs()
        if values.restarted:
            for plot in self.plots.values():
                plot.remove(name)
        for series in values.series:
            self._add_series(series.name)
            if ticked and series.name in self.plots:
                self._draw(series.name, name, [series])

    def _say(self, news: FolderNews) -> None:
        going = sum(status == "running" for status in self.statuses.values())
        words = f"{printable(str(self._folder))}: runs: {len(self.runs):,}, in progress: {going:,}."
        states = [
            self.runs[name].state.get("overhead")
            for name, status in self.statuses.items()
            if status == "running"
        ]
        shares = [share for share in states if isinstance(share, float)]
        if shares:
            words += f" Watching takes {100 * max(shares):.1f}% of the time of the loop."
        self.status_label.setText(" ".join([words, *map(printable, news.problems)]))

    # --- the lists --------------------------------------------------------------------------------

    def ticked_runs(self) -> list[str]:
        """Return the ids of the runs that are drawn."""
        return _ticked(self.run_list)

    def ticked_series(self) -> list[str]:
        """Return the names of the series that are drawn."""
        return _ticked(self.series_list)

    def _add_run(self, name: str) -> None:
        item = _item(name, ticked=True)
        # The newest run is what one looks for; earlier ones give way to it beyond a few.
        self.run_list.blockSignals(True)
        self.run_list.insertItem(0, item)
        for number in range(4, self.run_list.count()):
            self.run_list.item(number).setCheckState(Qt.CheckState.Unchecked)
        self.run_list.blockSignals(False)

    def _describe(self, item: QListWidgetItem) -> None:
        name = item.data(_KEY)
        run = self.runs[name]
        step = run.state.get("step")
        steps = f", step {step:,}" if isinstance(step, int) else ""
        text = printable(f"{run.identity.title} · {self.statuses.get(name, '')}{steps}")
        if item.text() != text:
            self.run_list.blockSignals(True)
            item.setText(text)
            about = [name, run.identity.source, ", ".join(run.identity.models)]
            settings = [f"{name}: {value}" for name, value in run.identity.settings.items()]
            item.setToolTip(
                printable("\n".join(filter(None, [*about, *settings[:20]])), lines=True)
            )
            self.run_list.blockSignals(False)

    def _add_series(self, name: str) -> None:
        if name not in self._listed:
            self._listed.add(name)
            self.series_list.blockSignals(True)
            item = _item(name, ticked=False)
            item.setText(printable(watched_label(name)))
            item.setToolTip(printable(name))
            self.series_list.addItem(item)
            self.series_list.sortItems()
            self.series_list.blockSignals(False)

    def _choose_series(self) -> None:
        """Tick the series that are looked at first."""
        items = [self.series_list.item(number) for number in range(self.series_list.count())]
        for part in _FIRST:
            found = next((item for item in items if item.data(_KEY).startswith(part)), None)
            found = found or next((item for item in items if part in item.data(_KEY)), None)
            if found is not None:
                self._chosen = True
                found.setCheckState(Qt.CheckState.Checked)

    def _series_ticked(self, item: QListWidgetItem) -> None:
        name = item.data(_KEY)
        if item.checkState() == Qt.CheckState.Checked and name not in self.plots:
            plot = WatchedPlot(name)
            plot.set_colors(theme.current().plots)
            plot.setMinimumHeight(240)
            set_subject(plot, "watched")
            self.plots[name], self._tiles[name] = plot, Tile(watched_label(name), plot)
            for run in self.ticked_runs():
                self._draw(name, run)
            self._arrange()
        elif item.checkState() != Qt.CheckState.Checked and name in self.plots:
            self._remove_plot(name)
            self._arrange()

    def _remove_plot(self, name: str) -> None:
        tile = self._tiles.pop(name)
        del self.plots[name]
        self._board.removeWidget(tile)
        tile.hide()
        tile.deleteLater()
        self._hint.setVisible(not self._tiles)

    def _arrange(self) -> None:
        self._hint.setVisible(not self._tiles)
        for number, tile in enumerate(self._tiles.values()):
            self._board.addWidget(tile, number // _COLUMNS, number % _COLUMNS)
            tile.show()
        for plot in self.plots.values():
            plot.refresh()

    # --- drawing ----------------------------------------------------------------------------------

    def _draw(self, series: str, name: str, new: Sequence[ForeignSeries] | None = None) -> None:
        """Append new values of a run to a plot, by default all that are known."""
        plot, run = self.plots[series], self.runs[name]
        titles = [other.identity.title for other in self.runs.values()]
        more = f" {name[-6:]}" if titles.count(run.identity.title) > 1 else ""
        label = printable(f"{run.identity.title}{more}")
        for part in run.series.get(series, []) if new is None else new:
            plot.add(name, label, list(self.runs).index(name), part)

    def _redraw(self) -> None:
        """Draw the runs that are ticked now."""
        ticked = self.ticked_runs()
        for series, plot in self.plots.items():
            plot.keep(ticked)
            for name in ticked:
                self._draw(series, name)
            plot.refresh()

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        """Read no more."""
        self._timer.stop()
        self.tasks.shut_down()
        self.closed.emit()
        event.accept()


def _item(key: str, *, ticked: bool) -> QListWidgetItem:
    item = QListWidgetItem(key)
    item.setData(_KEY, key)
    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
    item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
    return item


def _ticked(items: QListWidget) -> list[str]:
    return [
        items.item(number).data(_KEY)
        for number in range(items.count())
        if items.item(number).checkState() == Qt.CheckState.Checked
    ]
