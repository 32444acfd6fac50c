"""The hang notice: the worker of the run does not respond, or a step takes very long."""

from __future__ import annotations

from PySide6.QtCore import QObject

from optlab.gui.bridge import RunBridge
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar
from optlab.runners.notices import StepCompleted, StepOverdue, WorkerResponds, WorkerSilent

END = "End run"
"""Text of the button that ends the run by force."""


class HangNotice(QObject):
    """Says that the run seems to hang, and offers to end it; it is never ended by itself."""

    def __init__(
        self, bridge: RunBridge, banner: Banner, controls: ControlBar, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._bridge = bridge
        self._banner = banner
        self._controls = controls
        bridge.on(WorkerSilent, self._hangs)
        bridge.on(StepOverdue, self._hangs)
        bridge.on(WorkerResponds, self._continues)
        bridge.on(StepCompleted, self._continues)
        bridge.sessionEnded.connect(self._hide)
        self._words = ""

    def _hangs(self, event: WorkerSilent | StepOverdue) -> None:
        # A thread of the window's own process cannot be ended by force.
        offers = {END: self._end} if self._bridge.runner == "process" else {}
        self._words = event.words
        self._banner.show_sentence(event.words, offers, problem=True)

    def _continues(self, event: WorkerResponds | StepCompleted) -> None:
        self._hide()
        self._controls.say(event.words)

    def _hide(self) -> None:
        if self._banner.message.text() == self._words:
            self._banner.hide()

    def _end(self) -> None:
        self._controls.set_state("stopping")
        self._controls.say("Ending the run…")
        self._bridge.end()
