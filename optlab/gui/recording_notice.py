"""The notice of recording: says in the window that a run waits for room on the disk, or is not
recorded to its end.
"""

from __future__ import annotations

from PySide6.QtCore import QObject

from optlab.gui.bridge import RunBridge
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar


class RecordingNotice(QObject):
    """Shows what the bridge says of recording.

    Attributes:
        problem: why the present run is not recorded to its end, or "".
    """

    def __init__(
        self, bridge: RunBridge, banner: Banner, controls: ControlBar, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._banner = banner
        self._controls = controls
        self.problem = ""
        bridge.notRecorded.connect(self._not_recorded)
        bridge.recordingHeld.connect(self._held)
        bridge.recordingWentOn.connect(self._went_on)

    def begin(self) -> None:
        """Forget what was said of the run before."""
        self.problem = ""

    def show_with(self, sentence: str) -> None:
        """Show a sentence in the banner without losing what is wrong with the recording; "" adds
        nothing to it.
        """
        words = " ".join(part for part in (self.problem, sentence) if part)
        if words:
            self._banner.show_sentence(words, problem=True)

    def _not_recorded(self, words: str) -> None:
        self.problem = words
        self._banner.show_sentence(words, problem=True)

    def _held(self, words: str) -> None:
        self._controls.say("Waiting for room on the disk.", problem=True)
        self._banner.show_sentence(words, problem=True)

    def _went_on(self, words: str) -> None:
        self._controls.say(words)
        self._banner.hide()
