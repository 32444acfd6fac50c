"""The rack: the instruments that are switched on, and when each is to be taken.

It stands beside the trainer, which tells it of every step; what it finds waits in the recorder and,
as pictures, here. Taking an instrument reads and never writes, and the random numbers that a model
of the user's draws on the way are given back, so the training is the same whatever is on.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.catalogue.instruments.base import Instrument, Named, Reading
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.training.events import InstrumentImage
from optlab.training.observing.step_context import TrainingStepContext
from optlab.training.recorder import Recorder
from optlab.training.snapshot import INSTRUMENT, Snapshot

_NEVER = 1 << 62
_LAST = 65
"""Plain steps, and readings, whose times are looked at to know what one takes: the last ones, of
which the first of all (which imports) may be one.
"""


@dataclass
class ActiveInstrument:
    """One instrument that is on.

    Attributes:
        memory: its own. readings: how often it was taken; seconds: how long the last ones took.
    """

    instrument: Instrument
    memory: dict[str, Any] = field(default_factory=dict)
    readings: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_LAST))


class InstrumentRunner:
    """The instruments of a population.

    Args:
        recorder: where series go. look: makes the sight of the parameters as they stand.
    """

    def __init__(self, recorder: Recorder, look: Callable[[], TrainingStepContext]) -> None:
        self._recorder = recorder
        self._look = look
        self._slots: dict[str, ActiveInstrument] = {}
        self._watching: list[tuple[ActiveInstrument, int]] = []
        self._scheduled: list[ActiveInstrument] = []
        self._of_examples: list[int] = []
        self._next = 0
        self._pictures: dict[str, tuple[int, Reading]] = {}
        self._looked_at = -1
        self._plain: deque[float] = deque(maxlen=_LAST)
        self._left = 0.0

    @property
    def on(self) -> Mapping[str, ActiveInstrument]:
        """Name → what is switched on."""
        return self._slots

    def restore(
        self,
        experiments: Sequence[Experiment],
        start: torch.Tensor,
        snapshots: Sequence[Snapshot] | None,
    ) -> None:
        """Switch on what the experiments ask for, at the start ``[R, P]`` of the runs, or going on
        from snapshots.
        """
        if snapshots is not None:
            # Of runs that had been pretrained, the start is not at hand when they go on.
            known = torch.tensor(
                [not experiment.pretraining.active for experiment in experiments],
                device=start.device,
            )
            start = torch.where(known.unsqueeze(1), start, float("nan"))
        for instrument in experiments[0].instruments:
            found = [_kept(snapshot.memory, instrument.name) for snapshot in snapshots or ()]
            names = set.intersection(*(set(one) for one in found)) if found else set()
            kept = {
                key: torch.tensor(
                    [one[key] for one in found], dtype=torch.float64, device=start.device
                )
                for key in names
            }
            self.switch_on(instrument, start, kept)

    def switch_on(
        self,
        instrument: Instrument,
        theta: torch.Tensor,
        kept: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Switch an instrument on at parameters ``[R, P]``, or give it other fields; then it goes
        on with what it remembers.

        Args:
            kept: what it had a snapshot hold, name → ``[R]``.
        """
        slot = self._slots.get(instrument.name)
        if slot is not None:
            slot.instrument = instrument
        else:
            slot = self._slots[instrument.name] = ActiveInstrument(instrument)
            instrument.begin(theta, slot.memory)
            slot.memory.update(kept or {})
        self._arranged()

    def switch_off(self, name: str) -> None:
        """Switch an instrument off; nothing where it is not on."""
        self._slots.pop(name, None)
        self._arranged()

    def keeps(self, step: int) -> bool:
        """Whether an instrument that is due after this step can use the layers that its gradient
        passes through.
        """
        return bool(self._of_examples) and any(step % every == 0 for every in self._of_examples)

    def after(
        self, step: int, row: torch.Tensor, context: Callable[[], TrainingStepContext]
    ) -> None:
        """A step was taken.

        Args:
            step: how many that makes. row: its step measures ``[M, R]``. sight: makes the sight of
                it.
        """
        for slot, place in self._watching:
            slot.instrument.watch(row, place, slot.memory)
        if self._left:
            # What passes between a reading and the end of the next step is a plain step.
            self._plain.append(time.perf_counter() - self._left)
            self._left = 0.0
        if step < self._next:
            return
        due = [slot for slot in self._scheduled if step % slot.instrument.every == 0]
        self._next = min(
            (
                (step // slot.instrument.every + 1) * slot.instrument.every
                for slot in self._scheduled
            ),
            default=_NEVER,
        )
        if due:
            self._take(due, context())
            self._left = time.perf_counter()

    def look(self, step: int) -> None:
        """The session holds, or a run has ended: what has no schedule is taken of the parameters as
        they stand, once a step.
        """
        waiting = [slot for slot in self._slots.values() if slot.instrument.every == 0]
        if waiting and step != self._looked_at:
            self._looked_at = step
            self._take(waiting, self._look())
        self._left = 0.0

    def look_with_all(self, step: int) -> None:
        """Take every instrument that was not taken in this step, of the parameters as they stand."""
        self._looked_at = step
        waiting = [
            slot
            for slot in self._slots.values()
            if not slot.instrument.every or step == 0 or step % slot.instrument.every
        ]
        if waiting:
            self._take(waiting, self._look())

    def drawn(self) -> list[InstrumentImage]:
        """The latest pictures, and start anew."""
        found: list[InstrumentImage] = []
        for name, (step, reading) in self._pictures.items():
            arrays = {
                key: values.detach().cpu().double().numpy()
                for key, values in reading.picture.items()
            }
            for run in range(len(next(iter(arrays.values())))):
                found.append(
                    InstrumentImage(
                        run,
                        step,
                        name,
                        {key: np.ascontiguousarray(values[run]) for key, values in arrays.items()},
                    )
                )
        self._pictures = {}
        return found

    def costs(self) -> tuple[float, dict[str, float]]:
        """Seconds of a plain step, as the middle of the last ones, and name → seconds of a reading;
        0 and nothing before they are known.
        """
        plain = statistics.median(self._plain) if self._plain else 0.0
        return plain, {
            name: statistics.median(slot.seconds)
            for name, slot in self._slots.items()
            if slot.seconds
        }

    def remembered(self, run: int) -> dict[str, float]:
        """What instruments have the snapshot of a run hold."""
        return {
            f"{INSTRUMENT}{name}.{key}": float(values[run])
            for name, slot in self._slots.items()
            for key, values in slot.instrument.remembered(slot.memory).items()
        }

    def _take(self, slots: Sequence[ActiveInstrument], context: TrainingStepContext) -> None:
        device = context.theta.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for slot in slots:
                begun = time.perf_counter()
                reading = slot.instrument.take(context, slot.memory)
                slot.readings += 1
                slot.seconds.append(time.perf_counter() - begun)
                self._keep(slot.instrument.name, context.step, reading)

    def _keep(self, name: str, step: int, reading: Reading) -> None:
        for key, values in reading.series.items():
            if isinstance(values, Named):
                self._recorder.add(f"{name}.{key}", step, values.values, values.names)
            else:
                self._recorder.add(f"{name}.{key}", step, values)
        if reading.draw is not None:
            self._pictures[name] = (step, reading)

    def _arranged(self) -> None:
        slots = self._slots.values()
        self._watching = [
            (slot, self._recorder.place(slot.instrument.watches))
            for slot in slots
            if slot.instrument.watches
        ]
        self._scheduled = [slot for slot in slots if slot.instrument.every]
        self._of_examples = [
            slot.instrument.every for slot in self._scheduled if slot.instrument.of_examples
        ]
        self._next = 0
        self._left = 0.0


def _kept(memory: Mapping[str, float], name: str) -> dict[str, float]:
    """What an instrument had a snapshot's ``memory`` hold."""
    prefix = f"{INSTRUMENT}{name}."
    return {
        key.removeprefix(prefix): value for key, value in memory.items() if key.startswith(prefix)
    }
