"""The diagnosis of the run in progress, once a second, and the remedies that the user selects."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from optlab.core.errors import OptLabError
from optlab.core.wording import in_sentence
from optlab.experiment import Experiment
from optlab.gui.bridge import RunBridge
from optlab.gui.panels.diagnosis_panel import DiagnosisPanel
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.studies.diagnosis import rules as diagnosis_rules
from optlab.studies.diagnosis.base import Remedy
from optlab.training import events
from optlab.training.control import SetValue, Stop

_INTERVAL_MILLISECONDS = 1000


class DiagnosisController(QObject):
    """Keeps the diagnosis up to date while a run is in progress.

    Signals: ``said(str)``: a sentence about a remedy that was applied. ``forkRequested(object)``:
    changes, path → value, with which the run that has ended is to be forked.
    """

    said = Signal(str)
    forkRequested = Signal(object)

    def __init__(
        self,
        bridge: RunBridge,
        panel: ExperimentPanel,
        diagnosis: DiagnosisPanel,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._bridge, self._panel, self._diagnosis = bridge, panel, diagnosis
        self._experiment: Experiment | None = None
        self._waiting: list[Remedy] = []
        self._timer = QTimer(self)
        self._timer.setInterval(_INTERVAL_MILLISECONDS)
        self._timer.timeout.connect(self.update)
        bridge.on(events.SeriesBlock, self._diagnosis.add)
        bridge.on(events.ActivityChanged, lambda _changed: self.update())
        bridge.on(events.MessageApplied, self._applied)
        bridge.sessionEnded.connect(self._ended)
        diagnosis.remedyChosen.connect(self.apply)
        diagnosis.forkChosen.connect(lambda remedy: self.forkRequested.emit(remedy.changes))

    def begin(self, experiment: Experiment) -> None:
        """Begin the diagnosis of a new run of an experiment."""
        self._experiment = experiment
        self._waiting = []
        self._diagnosis.begin()
        # While the run is being started, and not in its first frames.
        diagnosis_rules()
        self._timer.start()

    def clear(self) -> None:
        """Diagnose no run."""
        self._timer.stop()
        self._experiment = None
        self._diagnosis.clear()

    def update(self) -> None:
        """Diagnose the run from what was measured so far."""
        if self._experiment is not None:
            self._diagnosis.diagnose(self._experiment, in_progress=self._bridge.active)

    def apply(self, remedy: Remedy) -> None:
        """Apply a remedy: to the run in progress if it can be, else to the experiment."""
        if remedy.stop:
            self._bridge.send(Stop())
        elif remedy.live and self._bridge.active:
            for path, value in remedy.changes.items():
                self._bridge.send(SetValue(path, float(value)))
                self._panel.set_live_value(path, float(value))
        elif self._bridge.active:
            self._waiting.append(remedy)
            self.said.emit(
                f"When this run has ended, the experiment will be changed: {in_sentence(remedy.label)}."
            )
        else:
            self._change(remedy)

    def _applied(self, applied: events.MessageApplied) -> None:
        if (
            self._experiment is not None
            and isinstance(applied.message, SetValue)
            and not applied.problem
        ):
            self._experiment = self._experiment.with_values(
                {applied.message.path: applied.message.value}, check=False
            )

    def _ended(self) -> None:
        self._timer.stop()
        self.update()
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
            f"The experiment was changed: {in_sentence(remedy.label)}. Press Start to try it."
        )
