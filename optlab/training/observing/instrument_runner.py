"""The instrument runner: the instruments that are switched on, and when each is read.

The trainer reports every step to it; series go to the recorder, images wait here. Reading an
instrument never writes to the training, and the state of the random generators that a user's own
model may use is restored, so the training is the same whatever is switched on.

An instrument that fails is switched off, and says why in :attr:`InstrumentRunner.failures`; the
training continues as if it had never been on.
"""

from __future__ import annotations

import copy
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.catalogue.instruments.base import Instrument, Named, Reading
from optlab.core.errors import OptLabError
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.training.events import InstrumentImage, Series
from optlab.training.observing.step_context import TrainingStepContext
from optlab.training.recorder import Recorder
from optlab.training.snapshot import INSTRUMENT, Snapshot

_LOG = logging.getLogger(__name__)
_NEVER = 1 << 62
MAX_UNUSABLE = 3
"""Readings in a row without a finite value after which an instrument is switched off."""
_LAST = 65
"""Plain steps, and readings, whose times are kept to estimate the cost of one.

The first of all (which imports) may be among them.
"""


@dataclass
class ActiveInstrument:
    """One instrument that is switched on.

    Attributes:
        memory: its own. readings: how often it was read; seconds: how long the last readings took.
        unusable: number of the last readings that had no finite value.
    """

    instrument: Instrument
    memory: dict[str, Any] = field(default_factory=dict)
    readings: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_LAST))
    unusable: int = 0


class InstrumentRunner:
    """The instruments of a population.

    Args:
        recorder: where series go. context_at_rest: makes the context of the current parameters.

    Attributes:
        failures: name → why the instrument was switched off; whoever reports one removes it.
    """

    def __init__(
        self, recorder: Recorder, context_at_rest: Callable[[], TrainingStepContext]
    ) -> None:
        self._recorder = recorder
        self._context_at_rest = context_at_rest
        self._active: dict[str, ActiveInstrument] = {}
        self.failures: dict[str, str] = {}
        self._watching: list[tuple[ActiveInstrument, int]] = []
        self._scheduled: list[ActiveInstrument] = []
        self._of_examples: list[int] = []
        self._next = 0
        self._images: dict[str, tuple[int, Reading, Sequence[int] | None]] = {}
        self._last_read_at = -1
        self._plain: deque[float] = deque(maxlen=_LAST)
        self._left = 0.0

    @property
    def on(self) -> Mapping[str, ActiveInstrument]:
        """Name → instrument that is switched on."""
        return self._active

    def restore(
        self,
        experiments: Sequence[Experiment],
        start: torch.Tensor,
        snapshots: Sequence[Snapshot] | None,
    ) -> None:
        """Switch on what the experiments request, at the start ``[R, P]`` of the runs.

        Args:
            snapshots: those that the runs resume from, or None.
        """
        if snapshots is not None:
            # The start of a pretrained run is not available when it resumes.
            known = torch.tensor(
                [not experiment.pretraining.active for experiment in experiments],
                device=start.device,
            )
            start = torch.where(known.unsqueeze(1), start, float("nan"))
        for instrument in experiments[0].instruments:
            memories = [_kept(snapshot.memory, instrument.name) for snapshot in snapshots or ()]
            names = set.intersection(*(set(one) for one in memories)) if memories else set()
            kept = {
                key: torch.tensor(
                    [one[key] for one in memories], dtype=torch.float64, device=start.device
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
        """Switch an instrument on at parameters ``[R, P]``, or change its fields.

        One that is on already continues with its memory.

        Args:
            kept: its values in a snapshot, name → ``[R]``.
        """
        entry = self._active.get(instrument.name)
        if entry is not None:
            entry.instrument = instrument
        else:
            entry = self._active[instrument.name] = ActiveInstrument(instrument)
            with self._failing_alone(instrument):
                instrument.begin(theta, entry.memory)
                entry.memory.update(kept or {})
        self._arrange()

    def switch_off(self, name: str) -> None:
        """Switch an instrument off; does nothing where it is not on."""
        self._active.pop(name, None)
        self._images.pop(name, None)
        self._arrange()

    def keeps(self, step: int) -> bool:
        """Return whether an instrument due after this step can use the layers of its gradient."""
        return bool(self._of_examples) and any(step % every == 0 for every in self._of_examples)

    def after(
        self, step: int, row: torch.Tensor, context: Callable[[bool], TrainingStepContext]
    ) -> None:
        """Read what is due after a step.

        Args:
            step: number of steps taken. row: the step measures ``[M, R]``. context: makes the
                context of the step; its argument says whether a reading keeps tensors of it.
        """
        for entry, index in self._watching:
            with self._failing_alone(entry.instrument):
                entry.instrument.watch(row, index, entry.memory)
        if self._left:
            # What passes between a reading and the end of the next step is a plain step.
            self._plain.append(time.perf_counter() - self._left)
            self._left = 0.0
        if step < self._next:
            return
        due = [entry for entry in self._scheduled if step % entry.instrument.every == 0]
        self._next = min(
            (
                (step // entry.instrument.every + 1) * entry.instrument.every
                for entry in self._scheduled
            ),
            default=_NEVER,
        )
        if due:
            self._read(due, context(any(entry.instrument.keeps_tensors for entry in due)))
            self._left = time.perf_counter()

    def read_unscheduled(self, step: int, runs: Sequence[int] | None = None) -> None:
        """Read the instruments without a schedule at the current parameters, once a step.

        The session calls this when it is paused or a run has ended.

        Args:
            runs: those that have ended while others continue; the reading is theirs alone, and
                the others continue as if there had been none.
        """
        waiting = [entry for entry in self._active.values() if entry.instrument.every == 0]
        if waiting and step != self._last_read_at:
            if runs is None:
                self._last_read_at = step
            self._read(waiting, self._context_at_rest(), runs)
        self._left = 0.0

    def read_all(self, step: int) -> None:
        """Read every instrument that was not read in this step, at the current parameters."""
        self._last_read_at = step
        waiting = [
            entry
            for entry in self._active.values()
            if not entry.instrument.every or step == 0 or step % entry.instrument.every
        ]
        if waiting:
            self._read(waiting, self._context_at_rest())

    def drawn(self) -> list[InstrumentImage]:
        """Return the latest images, and clear them."""
        images: list[InstrumentImage] = []
        for name, (step, reading, runs) in list(self._images.items()):
            arrays: dict[str, Any] = {}
            with self._failing_alone(self._active[name].instrument):
                arrays = {
                    key: values.detach().cpu().double().numpy()
                    for key, values in reading.picture.items()
                }
            if not arrays:
                continue
            for run in range(len(next(iter(arrays.values())))) if runs is None else runs:
                images.append(
                    InstrumentImage(
                        run,
                        step,
                        name,
                        {key: np.ascontiguousarray(values[run]) for key, values in arrays.items()},
                    )
                )
        self._images = {}
        return images

    def costs(self) -> tuple[float, dict[str, float]]:
        """Return the median seconds of a plain step, and name → seconds of a reading.

        They are 0 and empty before they are known.
        """
        plain = statistics.median(self._plain) if self._plain else 0.0
        return plain, {
            name: statistics.median(entry.seconds)
            for name, entry in self._active.items()
            if entry.seconds
        }

    def remembered(self, run: int) -> dict[str, float]:
        """Return what instruments store in the snapshot of a run."""
        stored: dict[str, float] = {}
        for name, entry in list(self._active.items()):
            with self._failing_alone(entry.instrument):
                values = entry.instrument.remembered(entry.memory)
                stored |= {
                    f"{INSTRUMENT}{name}.{key}": float(of[run]) for key, of in values.items()
                }
        return stored

    def _read(
        self,
        active: Sequence[ActiveInstrument],
        context: TrainingStepContext,
        runs: Sequence[int] | None = None,
    ) -> None:
        device = context.theta.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for entry in active:
                begun = time.perf_counter()
                with self._failing_alone(entry.instrument):
                    memory = entry.memory if runs is None else copy.deepcopy(entry.memory)
                    reading = entry.instrument.read(context, memory)
                    self._keep(entry.instrument.name, context.step, reading, runs)
                    entry.readings += 1
                    entry.seconds.append(time.perf_counter() - begun)

    def judge(self, series: Mapping[str, Series]) -> None:
        """Switch off the instruments whose last readings had no finite value.

        Args:
            series: the values since the last call.
        """
        for name, entry in list(self._active.items()):
            own = [values for key, values in series.items() if key.startswith(f"{name}.")]
            if own and any(bool(np.isfinite(one.values).any()) for one in own):
                entry.unusable = 0
            elif own:
                entry.unusable += max(len(one.steps) for one in own)
                if entry.unusable >= MAX_UNUSABLE:
                    self._fail(
                        entry.instrument, f"its last {entry.unusable} readings are not finite"
                    )

    @contextmanager
    def _failing_alone(self, instrument: Instrument) -> Iterator[None]:
        """Switch an instrument off if it raises an error inside."""
        try:
            yield
        except OptLabError as error:
            self._fail(instrument, str(error).rstrip("."))
        except Exception as error:  # noqa: BLE001 - becomes a sentence and, with its traceback, a log record
            _LOG.info("instrument %s failed", instrument.name, exc_info=True)
            self._fail(instrument, _explained(error))

    def _fail(self, instrument: Instrument, reason: str) -> None:
        self.failures[instrument.name] = (
            f"The instrument “{instrument.label}” switched itself off: {reason}. The training is "
            "not affected."
        )
        self.switch_off(instrument.name)

    def _keep(
        self, name: str, step: int, reading: Reading, runs: Sequence[int] | None = None
    ) -> None:
        for key, values in reading.series.items():
            if isinstance(values, Named):
                self._recorder.add(f"{name}.{key}", step, _of(runs, values.values), values.names)
            else:
                self._recorder.add(f"{name}.{key}", step, _of(runs, values))
        if reading.draw is not None:
            self._images[name] = (step, reading, runs)

    def _arrange(self) -> None:
        active = self._active.values()
        self._watching = [
            (entry, self._recorder.index(entry.instrument.watches))
            for entry in active
            if entry.instrument.watches
        ]
        self._scheduled = [entry for entry in active if entry.instrument.every]
        self._of_examples = [
            entry.instrument.every for entry in self._scheduled if entry.instrument.of_examples
        ]
        self._next = 0
        self._left = 0.0


def _of(runs: Sequence[int] | None, values: torch.Tensor) -> torch.Tensor:
    """Return values ``[R, …]`` of some or (None) all runs, NaN for the others."""
    if runs is None:
        return values
    own = torch.full_like(values, float("nan"))
    own[list(runs)] = values[list(runs)]
    return own


def _explained(error: Exception) -> str:
    what = " ".join(str(error).split()).rstrip(".")[:300]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in what:
        return f"there is not enough memory for a reading ({what or type(error).__name__})"
    kind = type(error).__name__
    return f"its reading failed with {kind}: {what}" if what else f"its reading failed with {kind}"


def _kept(memory: Mapping[str, float], name: str) -> dict[str, float]:
    """Return what a snapshot's ``memory`` holds of an instrument."""
    prefix = f"{INSTRUMENT}{name}."
    return {
        key.removeprefix(prefix): value for key, value in memory.items() if key.startswith(prefix)
    }
