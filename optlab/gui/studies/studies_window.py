"""The place of studies and claims: which there are, what one decides, and how it stands.

What is seen of a study is read from the store about every second while it goes, whoever conducts it.
Nothing waits in the window's thread: reading, writing and conducting are tasks of bridges.
"""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication
from PySide6.QtWidgets import (
    QHBoxLayout,
    QInputDialog,
    QMainWindow,
    QMenu,
    QProgressBar,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from optlab.gui import theme
from optlab.gui.bridge import TaskBridge, WorkerPrewarmer
from optlab.gui.geometry import resize_to_screen, scrollable
from optlab.gui.manners import file_dialogs
from optlab.gui.panels.elided_label import ElidedLabel
from optlab.gui.questions import InProgress, may_delete_study, may_stop
from optlab.gui.studies.conductor import StudyConductor
from optlab.gui.studies.controls import action_button, runner_box
from optlab.gui.studies.study_list import StudyList
from optlab.gui.studies.study_view import StudyView
from optlab.runners.conducting import ConductClaimTask, ConductStudyTask
from optlab.runners.train import RunnerChoice
from optlab.studies.comparison.fields import MAX_SEEDS
from optlab.tasks.claims import BookTask
from optlab.tasks.studies import (
    DeleteStudyTask,
    EntryKind,
    StudyEntry,
    StudyListTask,
    StudyPage,
    StudyPageTask,
)
from optlab.tasks.studies import StudyList as Listing
from optlab.tasks.study_export import ExportStudyTask
from optlab.tasks.study_news import StudyNews, StudyNewsTask

LOOK_MILLISECONDS = 700
"""Shortest time between two looks at a study that goes."""
FIRST_LOOK_MILLISECONDS = 100
"""The same until there is something to draw."""
_LOOK_FACTOR = 5.0
"""A look that takes long is followed by a pause this many times as long."""


class StudiesWindow(QMainWindow):
    """The place of studies and claims.

    Args:
        prewarmer: not used: studies have workers of their own.
        runner: where populations train at first.

    Signals: ``closed()``: the user closed the window; ``runPicked(str)``: id of a run to show;
    ``newRequested()``: the user asked for a new study; ``compareRequested(list)``: ids of runs.
    """

    closed = Signal()
    runPicked = Signal(str)
    newRequested = Signal()
    compareRequested = Signal(object)

    def __init__(
        self,
        prewarmer: WorkerPrewarmer | None = None,
        runner: RunnerChoice = "process",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Studies and claims – OptLab")
        resize_to_screen(self, 1360, 860)
        self.conductor = StudyConductor(self)
        self.listing, self.pages, self.reading, self.writing = (
            TaskBridge(None, self) for _ in range(4)
        )
        self.list, self.view = StudyList(), StudyView()
        self.page: StudyPage | None = None
        self._shown_study = ""
        self._wanted: tuple[EntryKind, str] | None = None
        self._run_next = ""
        self._looked = 0.0
        self._close_confirmed = False
        self.runner = runner_box(runner)
        self.progress = QProgressBar()
        self.progress_label, self.message = ElidedLabel(""), ElidedLabel("")
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._look)
        self._make_actions()
        self._build()
        self._connect()
        self.apply_theme()
        self._refresh()
        self.reload()

    # --- building ---------------------------------------------------------------------------------

    def _make_actions(self) -> None:
        self.run_action = self._action("Run", "Ctrl+Return", self.run)
        self.seeds_action = self._action("Run with more seeds…", "", self._ask_seeds)
        self.fresh_action = self._action("Repeat on fresh seeds…", "", self._ask_first)
        self.stop_action = self._action("Stop", "Ctrl+T", self.stop)
        self.open_action = self._action("Open study file…", "", self._choose_file)
        self.new_action = self._action("New study…", "", self.newRequested.emit)
        self.page_action = self._action("Save as one page (HTML)…", "", lambda: self._save("html"))
        self.csv_action = self._action("Save values (CSV)…", "", lambda: self._save("csv"))
        self.claim_page_action = self._action("Save page of the claim…", "", self._save_claim)
        self.book_action = self._action("Save book of all claims…", "", self._save_book)
        self.copy_action = self._action("Copy as command", "Ctrl+Shift+C", self.copy_command)
        self.compare_action = self._action("Compare selected runs…", "", self._compare)
        self.delete_action = self._action("Delete stored study…", "", self._delete)

    def _action(self, text: str, shortcut: str, act: object) -> QAction:
        action = QAction(text, self)
        if shortcut:
            # It acts while this place is in front of the window that is used, or in its own window:
            # a widget that is hidden has no shortcuts.
            action.setShortcut(shortcut)
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda _checked=False: act())  # type: ignore[operator]
        self.addAction(action)
        return action

    def _build(self) -> None:
        self.run_button = action_button(self.run_action)
        self.run_button.setObjectName("primary")
        self.stop_button = action_button(self.stop_action)
        more = QToolButton()
        more.setText("More")
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(more)
        for action in (
            self.seeds_action,
            self.fresh_action,
            self.page_action,
            self.csv_action,
            self.copy_action,
            self.claim_page_action,
            self.book_action,
            self.compare_action,
            self.delete_action,
        ):
            menu.addAction(action)
        more.setMenu(menu)
        more.setToolTip("Export, compare and delete")
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.run_button, self.stop_button, self.runner):
            row.addWidget(widget)
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(8)
        self.progress.setAccessibleName("Progress of the study")
        self.progress_label.setAccessibleName("What the study does")
        self.message.setAccessibleName("Messages")
        middle = QVBoxLayout()
        middle.setSpacing(4)
        for part in (self.message, self.progress, self.progress_label):
            middle.addWidget(part)
        self.progress_label.setProperty("role", "muted")
        row.addLayout(middle, 1)
        row.addWidget(more)
        right = QWidget()
        layout = QVBoxLayout(right)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.view, 1)
        layout.addLayout(row)
        below = QHBoxLayout()
        for action in (self.open_action, self.new_action):
            below.addWidget(action_button(action))
        below.addStretch(1)
        left = QWidget()
        stack = QVBoxLayout(left)
        stack.setContentsMargins(8, 8, 0, 8)
        stack.addWidget(self.list, 1)
        stack.addLayout(below)
        left.setMinimumWidth(280)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(left)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([380, 980])
        self.setCentralWidget(scrollable(split))

    def _connect(self) -> None:
        self.list.picked.connect(self._show_entry)
        self.listing.answered.connect(self._show_list)
        self.listing.failed.connect(self._say_problem)
        self.pages.answered.connect(self._show_page)
        self.pages.failed.connect(self._say_problem)
        self.reading.answered.connect(self._show_news)
        self.reading.failed.connect(self._say_problem)
        self.writing.answered.connect(lambda path: self._say(f"Written to {path}."))
        self.writing.failed.connect(self._say_problem)
        self.conductor.begun.connect(self._begun)
        self.conductor.progressed.connect(self._progressed)
        self.conductor.noticed.connect(self._say)
        self.conductor.ended.connect(self._ended)
        self.view.runs.runPicked.connect(self.runPicked)
        self.view.runs.itemSelectionChanged.connect(self._refresh)
        theme.notifier().themeChanged.connect(self.apply_theme)

    def apply_theme(self) -> None:
        """Apply the colors of the theme to the plots."""
        self.view.set_colors(theme.current().plots)

    # --- the list ---------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the list again."""
        self.listing.ask(StudyListTask())

    def show_study(self, kind: EntryKind, key: str) -> None:
        """Select an entry of the list, as soon as it is there."""
        if not self.list.select(kind, key):
            self._wanted = (kind, key)
            self.reload()

    def open_file(self, path: Path) -> None:
        """Show a study file, and remember it."""
        self.pages.ask(StudyPageTask("file", str(path.resolve())))
        self._wanted = ("file", str(path.resolve()))

    def _choose_file(self) -> None:
        path = file_dialogs.open_file(self, "Open study file", "Study (*.toml)")
        if path:
            self.open_file(Path(path))

    def _show_list(self, listing: Listing) -> None:
        self.list.show_entries(listing.entries)
        if listing.problem:
            self._say_problem(listing.problem)
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        page = self.page
        # What is shown already is not read again.
        quiet = page is not None and (page.kind, page.key) == wanted
        self.list.select(*wanted, quiet=quiet)

    def _show_entry(self, entry: StudyEntry) -> None:
        self._say("")
        self.pages.ask(StudyPageTask(entry.kind, entry.key))

    def _show_page(self, page: StudyPage) -> None:
        self.page = page
        if not self.conductor.active:
            self.progress.setValue(0)
        self.view.show_page(page)
        self._shown_study = page.study
        if page.study:
            self._look()
        self._refresh()
        if self._wanted is not None:
            self.reload()
        run_next, self._run_next = self._run_next, ""
        if run_next == page.key:
            self.run()

    # --- how a study stands -----------------------------------------------------------------------

    def _look(self) -> None:
        """Read how the study that is shown stands, in place of a reading in progress."""
        if self._shown_study:
            self._looked = time.monotonic()
            self.reading.ask(StudyNewsTask(self._shown_study))

    def _show_news(self, news: StudyNews) -> None:
        if news.record.id != self._shown_study:
            return
        self.view.show_news(news)
        self._refresh()
        if news.record.going:
            took = 1000.0 * (time.monotonic() - self._looked)
            if any(arm.band is not None or arm.mean is not None for arm in news.arms):
                self._timer.start(round(max(LOOK_MILLISECONDS, _LOOK_FACTOR * took)))
            else:
                self._timer.start(round(max(FIRST_LOOK_MILLISECONDS, took)))

    # --- conducting -------------------------------------------------------------------------------

    def _ask_seeds(self) -> None:
        """Ask how many seeds there are to be, at first as many as would decide, and run."""
        if self.page is not None:
            result = self.view.news.record.result if self.view.news is not None else {}
            needed = [one["seeds_needed"] or 0 for one in result.get("comparisons", ())]
            known = min(max([2 * self.page.seeds, *needed]), MAX_SEEDS)
            count, agreed = QInputDialog.getInt(
                self, "Run with more seeds", "Seeds per arm", known, 2, MAX_SEEDS
            )
            if agreed:
                self.run(seeds=count)

    def _ask_first(self) -> None:
        """Ask for another master seed, and repeat the study on its seeds."""
        if self.page is not None:
            first, agreed = QInputDialog.getInt(
                self, "Repeat on fresh seeds", "Master seed", self.page.first + 1, 0, 2**31 - 1
            )
            if agreed:
                self.run(first=first)

    def run(self, *, seeds: int | None = None, first: int | None = None) -> None:
        """Run the study or claim that is shown, or go on with it.

        Args:
            seeds, first: run it anew with another number of seeds, or another master seed.
        """
        page, anew = self.page, seeds is not None or first is not None
        if page is None or self.conductor.active:
            return
        runner: RunnerChoice = self.runner.currentData()
        task: ConductStudyTask | ConductClaimTask
        if page.kind == "claim":
            task = ConductClaimTask(page.key, runner)
        elif page.kind == "stored" and self._resumable() and not anew:
            task = ConductStudyTask("", resume=page.key, runner=runner)
        elif page.kind == "stored":
            task = ConductStudyTask(
                page.title, document=page.document, runner=runner, seeds=seeds, first=first
            )
        else:
            task = ConductStudyTask(page.key, runner=runner, seeds=seeds, first=first)
        self._say("Setting up…")
        self.progress.setValue(0)
        self.progress_label.setText("")
        self.conductor.start(task)
        self._refresh()

    def run_file(self, path: Path) -> None:
        """Show a study file and run it."""
        self._run_next = str(path.resolve())
        self.open_file(path)

    def stop(self) -> None:
        """Stop what is conducted between two steps; what was reached is kept."""
        self._say("Stopping…")
        self.conductor.stop()

    def _begun(self, study_id: str) -> None:
        self._say("")
        self._shown_study = study_id
        self.view.clear_result()
        self._look()
        self.reload()

    def _progressed(self, done: float, words: str) -> None:
        self.progress.setValue(round(1000 * done))
        self.progress_label.setText(words)
        shown = self._shown_study == self.conductor.study_id
        if shown and not self._timer.isActive() and not self.reading.active:
            self._timer.start(LOOK_MILLISECONDS)

    def _ended(self, status: str, reason: str) -> None:
        self.progress.setValue(1000 if status == "finished" else 0)
        self.progress_label.setText("")
        if status == "failed":
            self._say_problem(reason)
        elif status == "stopped":
            self._say("Stopped. What was reached is kept: Go on continues from there.")
        else:
            self._say("Finished.")
        self.reload()
        page = self.page
        if page is not None and page.kind == "claim":
            self.pages.ask(StudyPageTask(page.kind, page.key))
        elif status == "stopped" and self.conductor.study_id:
            self.show_study("stored", self.conductor.study_id)
        else:
            self._look()
        self._refresh()

    def _resumable(self) -> bool:
        news = self.view.news
        return news is not None and news.record.resumable

    # --- exporting --------------------------------------------------------------------------------

    def copy_command(self) -> None:
        """Put the command that does the same into the clipboard."""
        if self.page is not None:
            QGuiApplication.clipboard().setText(self.page.command)
            self._say(f"Copied: {self.page.command}")

    def _save(self, format: str) -> None:
        name = f"{self._shown_study}.{format}"
        path, _ = file_dialogs.save_file(self, "Save study", name, f"*.{format}")
        if path:
            self.export(format, Path(path))

    def export(self, format: str, path: Path) -> None:
        """Write the result of the study that is shown as ``html`` or ``csv``."""
        self._say(f"Writing {path}…")
        self.writing.ask(ExportStudyTask(self._shown_study, format, path))

    def _save_claim(self) -> None:
        if self.page is not None:
            path, _ = file_dialogs.save_file(
                self, "Save page of the claim", f"{self.page.key}.html", "*.html"
            )
            if path:
                self.writing.ask(BookTask(Path(path), self.page.key))

    def _save_book(self) -> None:
        path, _ = file_dialogs.save_file(self, "Save book of claims", "claims.html", "*.html")
        if path:
            self._say(f"Writing {path}…")
            self.writing.ask(BookTask(Path(path)))

    def _compare(self) -> None:
        self.compareRequested.emit(self.view.runs.selected())

    def _delete(self) -> None:
        page = self.page
        if page is not None and page.kind == "stored":
            with_runs = may_delete_study(self, page.title)
            if with_runs is not None:
                self.page, self._shown_study = None, ""
                self.view.clear_result()
                self.listing.ask(DeleteStudyTask(page.key, with_runs))
                self._refresh()

    # --- what can be done -------------------------------------------------------------------------

    def _refresh(self) -> None:
        page, news, busy = self.page, self.view.news, self.conductor.active
        claim = page is not None and page.kind == "claim"
        stored = page is not None and page.kind == "stored"
        going_on = stored and self._resumable()
        going = news is not None and news.record.going
        text = "Conduct" if claim else "Go on" if going_on else "Run again" if stored else "Run"
        self.run_action.setText(text)
        self.run_action.setEnabled(page is not None and not busy and not (stored and going))
        self.stop_action.setEnabled(busy)
        for action in (self.seeds_action, self.fresh_action):
            action.setEnabled(page is not None and not claim and not busy)
        self.runner.setEnabled(not busy)
        finished = news is not None and bool(news.record.result)
        self.page_action.setEnabled(finished)
        self.csv_action.setEnabled(finished)
        self.copy_action.setEnabled(page is not None)
        self.claim_page_action.setEnabled(claim)
        self.delete_action.setEnabled(stored and not going and not busy)
        self.compare_action.setEnabled(len(self.view.runs.selected()) > 1)

    def _say(self, sentence: str, *, problem: bool = False) -> None:
        self.message.setText(sentence)
        self.message.setProperty("problem", problem)
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)

    def _say_problem(self, sentence: str) -> None:
        self._say(sentence, problem=True)

    # --- closing ----------------------------------------------------------------------------------

    def may_close(self) -> bool:
        """Ask about a study in progress, and return whether the window may close."""
        self._close_confirmed = may_stop(self, InProgress(study=self.conductor.active))
        return self._close_confirmed

    def confirm_close(self) -> None:
        """Let the next close stop the study in progress without a question."""
        self._close_confirmed = True

    def closeEvent(self, event: QCloseEvent) -> None:  # Qt's name
        """Ask about a study in progress; then stop it, keep what it reached, and close."""
        if not self._close_confirmed and not self.may_close():
            event.ignore()
            return
        self.hide()
        self._timer.stop()
        for bridge in (self.listing, self.pages, self.reading, self.writing):
            bridge.shut_down()
        self.conductor.end()
        self.closed.emit()
        event.accept()
