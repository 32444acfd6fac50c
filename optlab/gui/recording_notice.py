"""The recording notice: a run waits for free disk space, or is not recorded completely."""

from __future__ import annotations

from PySide6.QtCore import QObject

from optlab.gui.bridge import RunBridge
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar
from optlab.runners.job_handle import NotRecorded, RecordingHeld, RecordingResumed


class RecordingNotice(QObject):
    """Shows problems with the recording of the run.

    Attributes:
        problem: why the current run is not recorded completely, or "".
    """

    def __init__(
        self, bridge: RunBridge, banner: Banner, controls: ControlBar, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._banner = banner
        self._controls = controls
        self.problem = ""
        bridge.on(NotRecorded, self._not_recorded)
        bridge.on(RecordingHeld, self._paused)
        bridge.on(RecordingResumed, self._resumed)

    def begin(self) -> None:
        """Forget the problem of the run before."""
        self.problem = ""

    def show_with(self, sentence: str) -> None:
        """Show a sentence in the banner, after the problem with the recording if there is one.

        Without a problem, "" leaves the banner as it is.
        """
        message = " ".join(part for part in (self.problem, sentence) if part)
        if message:
            self._banner.show_sentence(message, problem=True)

    def _not_recorded(self, event: NotRecorded) -> None:
        self.problem = event.words
        self._banner.show_sentence(event.words, problem=True)

    def _paused(self, event: RecordingHeld) -> None:
        self._controls.say("Waiting for free disk space.", problem=True)
        self._banner.show_sentence(event.words, problem=True)

    def _resumed(self, event: RecordingResumed) -> None:
        self._controls.say(event.words)
        self._banner.hide()
