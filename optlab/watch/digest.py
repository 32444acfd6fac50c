"""The digest: what becomes of readings before they are stored.

Norms of tensors become norms of the whole model and ratios. Vectors with a number for each tensor
are thinned to a rate of bytes, so that days of training fit a disk; numbers of the whole model and
what the loop logs are not. On the way, the first numbers that are not finite are noticed, and jumps
of the loss are looked into.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optlab.core.lazy import numpy as np
from optlab.watch.blocks import SeriesPart
from optlab.watch.raw_reading import statistics_of
from optlab.watch.rows import Column, Packed
from optlab.watch.spikes import SpikeInspector
from optlab.watch.tensors import NamedTensor, ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
else:
    Floats = "NDArray[np.float64]"

BATCH = Column("batch", ragged=True)
"""Indices of the examples of a step."""
BYTES_PER_SECOND = 5_000
"""Of numbers for each tensor that are stored in the long run."""
ALLOWANCE = 1_000_000
"""Bytes of them that may be stored at once."""
_BACKOFF = 0.5
"""Factor of a gradient scaler's scale after a skipped step, by default."""
_STORED = ("gradient_norm", "weight_norm", "update_ratio", "lost_share", "gradient_surprise")


class Digest:
    """Turns packed rows into series and events.

    Args:
        tensors: of the run.
        hurry: returns a function that has the next steps read, or None once there is no loop.
    """

    def __init__(
        self, tensors: Sequence[NamedTensor], hurry: Callable[[], Callable[[], None] | None]
    ) -> None:
        self._names = [tensor.name for tensor in tensors]
        self._factors = np.array([tensor.factor for tensor in tensors], dtype=np.float64)
        self._sizes = np.array([tensor.parameter.numel() for tensor in tensors], dtype=np.float64)
        self._hurry = hurry
        self._inspector = SpikeInspector(self._names)
        self._room = float(ALLOWANCE)
        self._room_at = time.monotonic()
        self._finite_at: dict[str, int] = {}
        self._reported: set[str] = set()
        self._last_scale: dict[str, float] = {}
        self._skipped: dict[str, float] = {}

    def add(self, packed: Packed) -> tuple[list[SeriesPart], list[Mapping[str, Any]]]:
        """Return the series and the events of new rows."""
        stored: list[SeriesPart] = []
        events: list[Mapping[str, Any]] = []
        readings: dict[str, dict[int, _Reading]] = {}
        for part in packed.parts():
            if part.tensors:
                suffix = part.name.partition("_by_tensor")[2]
                numbers = np.concatenate([np.arange(*pair) for pair in part.tensors])
                factors = self._factors[numbers]
                for step, row in zip(part.steps.tolist(), part.values, strict=True):
                    reading = readings.setdefault(suffix, {}).setdefault(step, _Reading())
                    for name, values in statistics_of(row, factors).items():
                        reading.add(name, numbers, values)
                continue
            stored.append(part)
            events += self._note_numbers(part)
            if part.name.startswith("amp_scale"):
                stored.append(self._count_skipped(part))
        for suffix, by_step in readings.items():
            for step, reading in by_step.items():
                reading.complete(self._sizes)
                events += self._note_reading(suffix, step, reading)
            stored += self._parts(suffix, by_step)
        for step, batch in packed.ragged():
            self._inspector.add_batch(step, batch)
        jumps, found = self._inspector.look()
        if jumps:
            self._ask_for_readings()
        return stored, [*events, *found]

    def close(self) -> list[Mapping[str, Any]]:
        """Return the events that were waiting for steps that do not come any more."""
        return self._inspector.look(final=True)[1]

    def _ask_for_readings(self) -> None:
        hurry = self._hurry()
        if hurry is not None:
            hurry()

    # --- series -----------------------------------------------------------------------------------

    def _parts(self, suffix: str, by_step: Mapping[int, _Reading]) -> Iterable[SeriesPart]:
        """Return totals of all steps, and numbers for each tensor of as many as may be stored."""
        for name in sorted({name for reading in by_step.values() for name in reading.totals}):
            steps = [step for step, reading in by_step.items() if name in reading.totals]
            values = [by_step[step].totals[name] for step in steps]
            yield SeriesPart(
                f"{name}{suffix}", np.array(steps), np.array(values, dtype=np.float64)[:, None]
            )
        kept = [step for step, reading in by_step.items() if self._may_store(reading)]
        groups: dict[tuple[str, bytes], list[int]] = {}
        for step in kept:
            for name in _STORED:
                if name in by_step[step].vectors:
                    key = (name, by_step[step].vectors[name][0].tobytes())
                    groups.setdefault(key, []).append(step)
        for (name, _), steps in groups.items():
            numbers = by_step[steps[0]].vectors[name][0]
            rows = np.stack([by_step[step].vectors[name][1] for step in steps])
            yield SeriesPart(
                f"{name}_by_tensor{suffix}", np.array(steps), rows, ranges(numbers.tolist())
            )

    def _may_store(self, reading: _Reading) -> bool:
        now = time.monotonic()
        self._room = min(self._room + BYTES_PER_SECOND * (now - self._room_at), ALLOWANCE)
        self._room_at = now
        size = sum(8 + row.nbytes for name, (_, row) in reading.vectors.items() if name in _STORED)
        if size > self._room and not reading.broken:
            return False
        self._room -= size
        return True

    def _count_skipped(self, part: SeriesPart) -> SeriesPart:
        """Return how many steps a gradient scaler has skipped so far, at the least."""
        counts: list[float] = []
        before = self._last_scale.get(part.name)
        skipped = self._skipped.get(part.name, 0.0)
        for scale in part.values[:, 0].tolist():
            if before is not None and 0.0 < scale < before:
                skipped += max(round(math.log(scale / before) / math.log(_BACKOFF)), 1)
                self._inspector.add_skip(int(part.steps[len(counts)]))
            before = scale
            counts.append(skipped)
        if before is not None:
            self._last_scale[part.name] = before
        self._skipped[part.name] = skipped
        name = part.name.replace("amp_scale", "amp_skipped_steps")
        return SeriesPart(name, part.steps, np.array(counts, dtype=np.float64)[:, None])

    # --- what is noticed --------------------------------------------------------------------------

    def _note_numbers(self, part: SeriesPart) -> list[Mapping[str, Any]]:
        values = part.values[:, 0]
        self._inspector.add_numbers(part.name, part.steps, values)
        finite = np.isfinite(values)
        if finite.all():
            self._finite_at[part.name] = int(part.steps[-1])
            return []
        first = int(np.argmin(finite))
        if first > 0:
            self._finite_at[part.name] = int(part.steps[first - 1])
        event = self._not_finite(int(part.steps[first]), part.name, part.name, "", 0)
        return [event] if event else []

    def _note_reading(self, suffix: str, step: int, reading: _Reading) -> list[Mapping[str, Any]]:
        self._inspector.add_reading(step, suffix, reading.totals, reading.known())
        events = []
        for base, what in (("weight_norm", "weights"), ("gradient_norm", "gradient")):
            if base not in reading.vectors:
                continue
            numbers, row = reading.vectors[base]
            bad = numbers[~np.isfinite(row) & ~reading.missing(base)]
            key = f"{what}{suffix}"
            if not len(bad):
                self._finite_at[key] = step
                continue
            reading.broken = True
            event = self._not_finite(step, key, what, self._names[int(bad[0])], len(bad))
            if event:
                events.append(event)
        return events

    def _not_finite(
        self, step: int, key: str, what: str, tensor: str, count: int
    ) -> Mapping[str, Any] | None:
        """Return an event about the first time that something is not finite."""
        if key in self._reported or len(self._reported) >= 100:
            return None
        self._reported.add(key)
        self._ask_for_readings()
        return {
            "kind": "non_finite",
            "step": step,
            "what": what,
            "tensor": tensor,
            "tensors": count,
            "finite_at": self._finite_at.get(key),
        }


class _Reading:
    """The numbers of one step, of all devices together.

    Attributes:
        vectors: statistic → numbers of tensors ``[K]`` and values ``[K]``.
        totals: statistic → value of the whole model.
        broken: whether something in it is not finite.
    """

    def __init__(self) -> None:
        self.vectors: dict[str, tuple[Any, Floats]] = {}
        self.totals: dict[str, float] = {}
        self.broken = False
        self._missing: dict[str, Any] = {}

    def add(self, name: str, numbers: Any, row: Floats) -> None:
        """Add values ``[K]`` of some tensors; those that are not known are negative."""
        missing = row < 0.0
        values = np.where(missing, np.nan, row)
        if name in self.vectors:
            before, others = self.vectors[name]
            numbers = np.concatenate([before, numbers])
            values = np.concatenate([others, values])
            missing = np.concatenate([self._missing[name], missing])
        self.vectors[name] = (numbers, values)
        self._missing[name] = missing

    def missing(self, name: str) -> Any:
        """Return which values of a statistic, ``[K]``, are not known."""
        return self._missing[name]

    def known(self) -> dict[str, tuple[Any, Floats]]:
        """Return statistic → numbers of the tensors whose value is known, and values."""
        return {
            name: (numbers[~self._missing[name]], values[~self._missing[name]])
            for name, (numbers, values) in self.vectors.items()
        }

    def complete(self, sizes: Floats) -> None:
        """Derive the totals and the ratios; ``sizes``: elements of each tensor of the run."""
        for name in ("gradient_norm", "applied_gradient_norm", "weight_norm", "update_norm"):
            if name in self.vectors:
                self.totals[name] = _norm(self._known(name))
        if "weight_norm" in self.vectors and "update_norm" in self.vectors:
            numbers, weights = self.vectors["weight_norm"]
            updates = self.vectors["update_norm"][1]
            with np.errstate(divide="ignore", invalid="ignore"):
                self.vectors["update_ratio"] = (numbers, updates / weights)
            self._missing["update_ratio"] = self._missing["weight_norm"]
            if self.totals["weight_norm"] > 0.0:
                ratio = self.totals["update_norm"] / self.totals["weight_norm"]
                self.totals["update_ratio"] = ratio
        if "lost_share" in self.vectors:
            numbers, shares = self.vectors["lost_share"]
            known = ~self._missing["lost_share"]
            if known.any():
                weights = sizes[numbers][known]
                self.totals["lost_share"] = float((shares[known] * weights).sum() / weights.sum())
        surprises = self._known("gradient_surprise") if "gradient_surprise" in self.vectors else ()
        if len(surprises):
            self.totals["gradient_surprise"] = float(np.max(surprises))

    def _known(self, name: str) -> Floats:
        known: Floats = self.vectors[name][1][~self._missing[name]]
        return known


def _norm(values: Floats) -> float:
    """Return the norm of parts whose norms ``[K]`` are given."""
    return math.hypot(*values.tolist())
