"""Live changes: what is changed during a run, from the form or by the run itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QObject

from optlab.core.fields import Field
from optlab.experiment import Experiment
from optlab.gui.bridge import RunBridge
from optlab.gui.instruments.instruments_panel import InstrumentsPanel
from optlab.gui.panels.control_bar import ControlBar
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.training import events
from optlab.training.control import Message, SetValue, SwitchInstrument


class LiveChanges(QObject):
    """Sends changes to the run in progress, and shows those that were applied.

    Args:
        bridge: of the run. panel: the form. instruments: their panel. plots: mark changes.
        controls: say them. parent: owner.
    """

    def __init__(
        self,
        bridge: RunBridge,
        panel: ExperimentPanel,
        instruments: InstrumentsPanel,
        plots: PlotsPanel,
        controls: ControlBar,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._bridge, self._panel, self._instruments = bridge, panel, instruments
        self._plots, self._controls = plots, controls
        panel.liveValueChanged.connect(lambda path, value: bridge.send(SetValue(path, value)))
        instruments.switched.connect(self._switched)
        bridge.on(events.MessageApplied, self._applied)

    def show_log(self, log: Iterable[tuple[int, Message]], experiment: Experiment) -> None:
        """Show what was changed during a stored run of an experiment."""
        for step, message in log:
            if isinstance(message, SwitchInstrument) and message.reason:
                self._instruments.show_problem(message.name, message.reason)
            elif isinstance(message, SetValue):
                section, _, name = message.path.partition(".")
                self._mark(step, getattr(experiment, section).field(name), message.value)

    def _switched(self, name: str, values: dict[str, Any] | None) -> None:
        problem = self._panel.set_instrument(name, values)
        if problem:
            self._instruments.show_problem(name, problem)
        elif self._bridge.active:
            self._bridge.send(SwitchInstrument(name, values))

    def _applied(self, applied: events.MessageApplied) -> None:
        message = applied.message
        if applied.problem and isinstance(message, SwitchInstrument):
            self._instruments.show_problem(message.name, applied.problem)
        elif isinstance(message, SwitchInstrument) and message.reason:
            self._panel.set_instrument(message.name, None)
            self._instruments.show_problem(message.name, message.reason)
            self._controls.say(message.reason, problem=True)
        elif applied.problem:
            self._controls.say(applied.problem, problem=True)
        elif isinstance(message, SetValue):
            field = self._panel.field(message.path)
            self._mark(applied.step, field, message.value)
            name = " ".join(filter(None, (field.label, field.symbol)))
            self._controls.say(f"{name} is {message.value:g} from step {applied.step + 1:,} on.")

    def _mark(self, step: int, field: Field, value: float) -> None:
        self._plots.mark(step, f"{field.symbol or field.label} {value:g}")
