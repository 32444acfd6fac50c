"""The doctor's round: looks at what a run measures once a second, and applies the remedy that the
user picks.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from optlab.core.errors import OptLabError
from optlab.experiment import Experiment
from optlab.gui.bridge import RunBridge
from optlab.gui.panels.diagnosis_panel import DiagnosisPanel
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.studies.diagnosis.base import Remedy
from optlab.training import events
from optlab.training.control import SetValue, Stop

_SECONDS = 1.0


class DiagnosisController(QObject):
    """Keeps the note true while a run goes.

    Signals: ``said(str)``: what became of a remedy, in words.
    """

    said = Signal(str)

    def __init__(
        self,
        bridge: RunBridge,
        panel: ExperimentPanel,
        note: DiagnosisPanel,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._bridge, self._panel, self._note = bridge, panel, note
        self._experiment: Experiment | None = None
        self._waiting: list[Remedy] = []
        self._timer = QTimer(self)
        self._timer.setInterval(round(1000 * _SECONDS))
        self._timer.timeout.connect(self.look)
        bridge.on(events.SeriesBlock, self._note.take)
        bridge.on(events.ActivityChanged, lambda _changed: self.look())
        bridge.on(events.MessageApplied, self._applied)
        bridge.sessionEnded.connect(self._ended)
        note.remedyChosen.connect(self.apply)

    def begin(self, experiment: Experiment) -> None:
        """A run of this experiment begins."""
        self._experiment = experiment
        self._waiting = []
        self._note.clear()
        self._timer.start()

    def look(self) -> None:
        """Look at what was measured so far."""
        if self._experiment is not None:
            self._note.look(self._experiment)

    def apply(self, remedy: Remedy) -> None:
        """Do what a remedy says: now where the run can take it, else for the next one."""
        going = self._bridge.active
        if remedy.stop:
            self._bridge.send(Stop())
        elif remedy.live and going:
            for path, value in remedy.changes.items():
                self._bridge.send(SetValue(path, float(value)))
                self._panel.set_live_value(path, float(value))
        elif going:
            self._waiting.append(remedy)
            self.said.emit(
                f"When this run has ended, the experiment will be changed: {remedy.label[:1].lower()}{remedy.label[1:]}."
            )
        else:
            self._change(remedy)

    def _applied(self, applied: events.MessageApplied) -> None:
        if (
            self._experiment is not None
            and isinstance(applied.message, SetValue)
            and not applied.problem
        ):
            self._experiment = self._experiment.with_value(
                applied.message.path, applied.message.value
            )

    def _ended(self) -> None:
        self._timer.stop()
        self.look()
        waiting, self._waiting = self._waiting, []
        for remedy in waiting:
            self._change(remedy)

    def _change(self, remedy: Remedy) -> None:
        try:
            self._panel.change(remedy.changes)
        except OptLabError as error:
            self.said.emit(str(error))
            return
        self.said.emit(
            f"The experiment was changed: {remedy.label[:1].lower()}{remedy.label[1:]}. Press Start to try it."
        )
