"""Stored runs that the main window shows, resumes and offers, read in the background."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from optlab.gui.bridge import TaskBridge
from optlab.store import RunRecord
from optlab.tasks.stored_runs import RunCurves, RunCurvesTask, RunList, RunListTask


class StoredRuns(QObject):
    """Reads stored runs for the window; only the newest request for a run counts.

    Signals: ``interrupted(object)``: the newest interrupted run, where there is one;
    ``noticed(str)``: what was done about a damaged store; ``said(str)``: what is being read;
    ``failed(str)``: why a run or the store cannot be read.
    """

    interrupted = Signal(object)
    noticed = Signal(str)
    said = Signal(str)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._act: Callable[[RunCurves], object] | None = None
        self._by_itself = False
        self._runs, self._curves = TaskBridge(None, self), TaskBridge(None, self)
        self._runs.answered.connect(self._listed)
        self._curves.answered.connect(self._read)
        self._runs.failed.connect(self.failed)
        self._curves.failed.connect(self._curves_failed)

    @property
    def reading(self) -> bool:
        """Whether a requested run has not been read yet."""
        return self._act is not None

    def look_for_interrupted(self) -> None:
        """Look for runs whose process has died."""
        self._runs.ask(RunListTask())

    def read(
        self, run_id: str, act: Callable[[RunCurves], object], *, by_itself: bool = False
    ) -> None:
        """Read a run with all its series and call ``act`` with it.

        Args:
            by_itself: whether nobody has just asked for it; that it is gone is then no problem.
        """
        self._act, self._by_itself = act, by_itself
        self._curves.ask(RunCurvesTask(run_id))
        self.said.emit("Loading the run…")

    def drop(self) -> None:
        """Forget the run that is being read: another one is to be shown in its place."""
        self._act = None

    def shut_down(self) -> None:
        """Cancel what is being read."""
        self.drop()
        self._runs.shut_down()
        self._curves.shut_down()

    def _listed(self, runs: RunList) -> None:
        if runs.notice:
            self.noticed.emit(runs.notice)
            return
        found: RunRecord | None = next(
            (record for record in runs.records if record.status == "interrupted"), None
        )
        if found is not None:
            self.interrupted.emit(found)

    def _read(self, curves: RunCurves) -> None:
        act, self._act = self._act, None
        if act is not None:
            act(curves)

    def _curves_failed(self, sentence: str) -> None:
        asked, self._act = self._act is not None, None
        if asked:
            (self.said if self._by_itself else self.failed).emit(sentence)
