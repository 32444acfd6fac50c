"""Small curves of the training loss for the rows of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optlab.core.errors import StoreError
from optlab.store import Store, StoredSeries
from optlab.tasks.task import Task
from optlab.training.control import Controls

Points = NDArray[np.float64]
POINTS = 32
"""Points of a curve: about one a pixel."""
_SERIES = ("train_loss", "batch_loss")


@dataclass(frozen=True)
class SparklineTask(Task):
    """Read small curves of runs; the result is a mapping of ids to points ``[n, 2]`` in [0, 1].

    A run without such a series, or a damaged one, has no points.

    Attributes:
        run_ids: complete ids.
    """

    run_ids: tuple[str, ...]

    def run(self, controls: Controls) -> Iterator[Mapping[str, Points]]:
        """Read them; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: the store cannot be read.
        """
        found: dict[str, Points] = {}
        with Store.open_readonly() as store:
            for run in self.run_ids:
                try:
                    series = store.series(run, _SERIES)
                except StoreError:
                    # The panel says which runs are damaged when they are shown.
                    series = {}
                known = next((series[name] for name in _SERIES if name in series), None)
                found[run] = points_of(known)
        yield found


def points_of(series: StoredSeries | None) -> Points:
    """Return at most ``POINTS`` points ``[n, 2]`` of a series, from 0 to 1 in both directions.

    Values are logarithmic where all are positive; those that are not finite are left out.
    """
    if series is None or series.values.ndim != 1:
        return np.empty((0, 2))
    finite = np.isfinite(series.values)
    steps, values = series.steps[finite].astype(float), series.values[finite]
    if len(steps) < 2:
        return np.empty((0, 2))
    chosen = np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))
    steps, values = steps[chosen], values[chosen]
    if np.all(values > 0.0):
        values = np.log(values)
    return np.stack([_to_unit(steps), _to_unit(values)], axis=1)


def _to_unit(values: Points) -> Points:
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full_like(values, 0.5)
