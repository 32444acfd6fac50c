"""Reading runs for plots and preparing all that they draw, so that drawing is all that is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.gui.plots.overlay import BandSamples, SeriesKey
from optlab.gui.plots.plot_link import BandKind
from optlab.gui.plots.pyramid import Pyramid
from optlab.gui.plots.smoothing import moving_average
from optlab.store import Store, StoredSeries
from optlab.tasks.run_scales import RunScale
from optlab.tasks.run_series import RunSeries, read_series
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True, eq=False)
class RunData:
    """What plots draw of a run.

    Attributes:
        series: as stored. steps: up to which it was read. scale: converts its steps.
        smoothing: weight of the averages. names: of the series that were read.
        samples, averages: of each series that plots draw.
        problem: why it cannot be read, or "".
    """

    series: Mapping[str, StoredSeries]
    steps: int
    scale: RunScale
    smoothing: float
    names: frozenset[str]
    samples: Mapping[SeriesKey, Pyramid]
    averages: Mapping[SeriesKey, Pyramid]
    problem: str = ""


@dataclass(frozen=True, eq=False)
class BandData:
    """What plots draw of a group of runs.

    Attributes:
        made_of: the data that it was computed from. kind: what its ends are.
        samples: of each series that plots draw.
    """

    made_of: tuple[RunData, ...]
    kind: BandKind
    samples: Mapping[SeriesKey, BandSamples]


@dataclass(frozen=True, eq=False)
class OverlayData:
    """All that plots draw beside the run that they follow; runs by id, bands by group."""

    runs: Mapping[str, RunData]
    bands: Mapping[str, BandData]


@dataclass(frozen=True)
class OverlayTask(Task):
    """Read runs and prepare their curves; the result is an :class:`OverlayData`.

    Attributes:
        steps: complete id → steps that the run has; only what is new is read.
        known: what was prepared before.
        keys: the series that plots draw.
        smoothing: weight of the past in the moving averages; 0 for none.
        groups: group → ids of its runs.
        band: what the ends of a band are.
    """

    steps: Mapping[str, int]
    known: OverlayData
    keys: frozenset[SeriesKey]
    smoothing: float
    groups: Mapping[str, tuple[str, ...]]
    band: BandKind

    def run(self, controls: Controls) -> Iterator[OverlayData]:
        """Prepare them; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: the store cannot be read.
        """
        names = frozenset(key.name for key in self.keys)
        known = {run: data for run, data in self.known.runs.items() if data.names == names}
        after = {
            run: known[run].steps if run in known else 0
            for run, steps in self.steps.items()
            if run not in known or known[run].steps != steps
        }
        # A run that went back, because it was resumed, is read as a whole.
        after = {run: step if step < self.steps[run] else 0 for run, step in after.items()}
        found: dict[str, RunSeries] = {}
        if after:
            with Store.open_readonly() as store:
                found = read_series(store, after, names)
        runs: dict[str, RunData] = {}
        for run, steps in self.steps.items():
            if run in found:
                before = known.get(run) if after[run] else None
                runs[run] = self._prepared(found[run], before, steps, names)
            elif run in known and run not in after:
                runs[run] = self._smoothed(known[run])
        yield OverlayData(runs, self._bands(runs))

    def _prepared(
        self, new: RunSeries, before: RunData | None, steps: int, names: frozenset[str]
    ) -> RunData:
        series, scale = dict(new.series), new.scale
        if before is not None:
            scale = new.scale.going_on(before.scale)
            series = {
                name: joined(before.series.get(name), series.get(name))
                for name in {*before.series, *series}
            }
        samples = {
            key: _pyramid(*drawn(series[key.name], key)) for key in self.keys if _fits(series, key)
        }
        data = RunData(series, steps, scale, 0.0, names, samples, {}, new.problem)
        return self._smoothed(data)

    def _smoothed(self, data: RunData) -> RunData:
        if data.smoothing == self.smoothing:
            return data
        averages: dict[SeriesKey, Pyramid] = {}
        if self.smoothing:
            for key in data.samples:
                steps, values = drawn(data.series[key.name], key)
                averages[key] = _pyramid(steps, moving_average(values, self.smoothing)[0])
        return dataclasses.replace(data, smoothing=self.smoothing, averages=averages)

    def _bands(self, runs: Mapping[str, RunData]) -> dict[str, BandData]:
        bands: dict[str, BandData] = {}
        if self.band == "none":
            return bands
        for group, members in self.groups.items():
            made_of = tuple(runs[run] for run in members if run in runs)
            if len(made_of) < 2:
                continue
            old = self.known.bands.get(group)
            if old is not None and old.kind == self.band and old.made_of == made_of:
                bands[group] = old
                continue
            samples = {
                key: found for key in self.keys if (found := self._band(made_of, key)) is not None
            }
            bands[group] = BandData(made_of, self.band, samples)
        return bands

    def _band(self, members: tuple[RunData, ...], key: SeriesKey) -> BandSamples | None:
        found = [drawn(one.series[key.name], key) for one in members if _fits(one.series, key)]
        if len(found) < 2:
            return None
        steps, values = common(found)
        if not len(steps):
            return None
        mean, low, high = spread(values, self.band)
        average = moving_average(mean, self.smoothing)[0] if self.smoothing else None
        return BandSamples(
            _pyramid(steps, mean),
            _pyramid(steps, low),
            _pyramid(steps, high),
            None if average is None else _pyramid(steps, average),
        )


Steps = NDArray[np.int64]
Values = NDArray[np.float64]


def joined(before: StoredSeries | None, new: StoredSeries | None) -> StoredSeries:
    """Return a series with what was read later."""
    if before is None or new is None or not len(new.steps):
        known = new if before is None else before
        assert known is not None
        return known
    last = before.steps[-1] if len(before.steps) else -1
    fresh = new.steps > last
    return StoredSeries(
        np.concatenate([before.steps, new.steps[fresh]]),
        np.concatenate([before.values, new.values[fresh]]),
        before.columns,
    )


def drawn(series: StoredSeries, key: SeriesKey) -> tuple[Steps, Values]:
    """Return steps ``[n]`` and values ``[n]`` of a series as a plot draws it."""
    steps, values = series.steps, series.values
    if np.any(steps[1:] <= steps[:-1]):
        # A step that was recorded again: its last value counts.
        reverse = steps[::-1]
        steps, first = np.unique(reverse, return_index=True)
        values = values[len(reverse) - 1 - first]
    if key.sparse:
        finite = np.isfinite(values)
        steps, values = steps[finite], values[finite]
    return steps, values if key.factor == 1.0 else values * key.factor


def common(found: list[tuple[Steps, Values]]) -> tuple[Steps, Values]:
    """Return the steps ``[n]`` at which all runs have a value, and their values ``[R, n]``."""
    steps = found[0][0]
    if not all(np.array_equal(steps, other) for other, _ in found[1:]):
        for other, _ in found[1:]:
            steps = np.intersect1d(steps, other, assume_unique=True)
        found = [(steps, values[np.isin(own, steps)]) for own, values in found]
    return steps, np.stack([values for _, values in found])


def spread(values: Values, kind: BandKind) -> tuple[Values, Values, Values]:
    """Return mean, lower and upper end ``[n]`` of values ``[R, n]``.

    A step at which a run has no finite value is a gap.
    """
    mean = values.mean(axis=0)
    if kind == "quartiles":
        low, high = np.quantile(values, (0.25, 0.75), axis=0)
        return mean, low, high
    return mean, values.min(axis=0), values.max(axis=0)


def _fits(series: Mapping[str, StoredSeries], key: SeriesKey) -> bool:
    return key.name in series and series[key.name].values.ndim == 1


def _pyramid(steps: Steps, values: Values) -> Pyramid:
    pyramid = Pyramid()
    pyramid.append(steps, values)
    return pyramid
