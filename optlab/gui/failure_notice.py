"""The notice that a run has failed, with what can be done about it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from optlab.gui.bridge import RunBridge
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.control_bar import ControlBar
from optlab.gui.questions import CONTINUE
from optlab.gui.recording_notice import RecordingNotice
from optlab.training import events


class FailureNotice(QObject):
    """Shows why a run has failed.

    Args:
        bridge: whose runs fail.
        banner, controls: show it.
        recording: whose problem is shown with it.
        parent: owner.

    Signals: ``reportRequested(str)``: a report about a defect is to be shown.
    """

    reportRequested = Signal(str)

    def __init__(
        self,
        bridge: RunBridge,
        banner: Banner,
        controls: ControlBar,
        recording: RecordingNotice,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._banner, self._controls, self._recording = banner, controls, recording
        self._with_changed_data: Callable[[], object] = lambda: None
        bridge.on(events.SessionFailed, self._show)

    def resuming(self, with_changed_data: Callable[[], object]) -> None:
        """Keep what resumes the stored run that is being resumed although its data have changed."""
        self._with_changed_data = with_changed_data

    def _show(self, failed: events.SessionFailed) -> None:
        if failed.changed_data:
            self._controls.say("The run was not resumed.", problem=True)
            go_on = self._with_changed_data
            self._banner.show_sentence(
                f"{failed.changed_data} Put the former file back, or continue with the changed data.",
                {CONTINUE: lambda: (go_on(), None)[1]},
                problem=True,
            )
            return
        report = f"{failed.message}\n\n{failed.detail}"
        self._controls.say("The run failed.", problem=True)
        self._banner.show_sentence(
            f"{self._recording.problem} {failed.message}".strip(),
            {"Details…": lambda: self.reportRequested.emit(report)} if failed.detail else {},
            problem=True,
        )
