"""Which run the plots and instruments show: one that is in progress, or a stored one."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from optlab.gui.bridge import RunBridge
from optlab.gui.panels.run_caption import RunCaption
from optlab.gui.plots.subject import set_subject
from optlab.store import RunRecord
from optlab.training import events

PATH_NOT_STORED = (
    "Not stored of this run: the path and the largest-moving weights are computed from all weights "
    "while a run is in progress. Start the experiment again to see them."
)
PATH_RESUMED = (
    "The run was resumed at step {step:,}. Its path is drawn from there on, once it has taken a few "
    "steps."
)


class ShownRun(QObject):
    """Keeps the captions and the names of exported files up to date.

    Args:
        bridge: whose run is shown while one is in progress.
        captions: show name and state.
        holders: their plots are named after the run when they are exported.
        parent: owner.

    Signals: ``identified(str, str, bool)``: id of the run that is shown, "" while it has none, its
    title, and whether it is in progress.
    """

    identified = Signal(str, str, bool)

    def __init__(
        self,
        bridge: RunBridge,
        captions: Sequence[RunCaption],
        holders: Sequence[QWidget],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._bridge, self._captions, self._holders = bridge, captions, holders
        self._name, self._live = "", "live"
        self._ids: tuple[str, ...] = ()
        bridge.on(events.SessionStarted, lambda _started: self._show(self._live))
        bridge.on(events.RunEnded, self._ended)
        bridge.on(events.SessionFailed, lambda _failed: self._show("failed"))

    @property
    def name(self) -> str:
        """Title of the run that is shown, or "" before the first."""
        return self._name

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Names of the stored runs that are shown: in progress, ended or read from the store."""
        return self._ids

    def begin(self, title: str) -> None:
        """Show a run that is being started."""
        self._name, self._live = title, "live"
        self._show("starting")

    def clear(self) -> None:
        """Show no run."""
        self._name = ""
        self._ids = ()
        for caption in self._captions:
            caption.show_run("", "")
        for holder in self._holders:
            set_subject(holder, "")
        self.identified.emit("", "", False)

    def resume(self, record: RunRecord) -> None:
        """Show a stored run that is being resumed."""
        self._name, self._live = record.title, f"live, resumed from step {record.steps:,}"
        self._show("resuming")

    def show_stored(self, record: RunRecord) -> None:
        """Show a stored run."""
        self._name = record.title
        self._show(f"stored run {record.id}, {record.status}", record.id)

    def _ended(self, ended: events.RunEnded) -> None:
        self._show(ended.status)

    def _show(self, state: str, run_id: str = "") -> None:
        if state in ("starting", "resuming"):
            self._ids = ()
        # None are in progress when the run has ended: it is still shown.
        self._ids = (run_id,) if run_id else tuple(self._bridge.run_ids) or self._ids
        identity = next(iter(self._ids), "")
        for caption in self._captions:
            caption.show_run(self._name, state)
        for holder in self._holders:
            set_subject(holder, " ".join(filter(None, (self._name, identity))))
        live = not run_id and self._bridge.active
        self.identified.emit(identity, self._name, live)
