"""Series of many runs in one reading, for plots that lay runs over each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optlab.core.errors import StoreError
from optlab.store import Store, StoredSeries
from optlab.store.names import is_run_id
from optlab.tasks.run_scales import EVALUATIONS, RunScale, scale_of
from optlab.tasks.task import Task
from optlab.training.control import Controls
from optlab.training.events import SECONDS

_LAST_STEP = 2**62


@dataclass(frozen=True, eq=False)
class RunSeries:
    """Series of one run.

    Attributes:
        series: name → values, from the step that was asked for on.
        scale: converts its steps; its clock begins at the step that was asked for.
        problem: why the run cannot be read, or "".
    """

    series: Mapping[str, StoredSeries]
    scale: RunScale
    problem: str = ""


@dataclass(frozen=True)
class RunSeriesTask(Task):
    """Read series of several runs; the result is a mapping of ids to :class:`RunSeries`.

    A run that is no longer stored is left out; a damaged one hides no other.

    Attributes:
        after: complete id → step after which values are read; 0 for all.
        names: of the series.
    """

    after: Mapping[str, int]
    names: frozenset[str]

    def run(self, controls: Controls) -> Iterator[dict[str, RunSeries]]:
        """Read them; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: the store cannot be read.
        """
        with Store.open_readonly() as store:
            yield read_series(store, self.after, self.names)


def read_series(
    store: Store, after: Mapping[str, int], names: frozenset[str]
) -> dict[str, RunSeries]:
    """Return the series of several runs; see :class:`RunSeriesTask`.

    Raises:
        StoreError: the store cannot be read.
    """
    wanted = names | {EVALUATIONS, SECONDS}
    records = store.runs_of([run for run in after if is_run_id(run)])
    found: dict[str, RunSeries] = {}
    for run, record in records.items():
        try:
            if after[run] > 0:
                series = {
                    name: values
                    for name in wanted
                    if (values := store.series_between(run, name, after[run] + 1, _LAST_STEP))
                    is not None
                }
                counted = store.series(run, [EVALUATIONS]) if EVALUATIONS in series else {}
            else:
                series = counted = store.series(run, wanted)
            noted = {SECONDS: series[SECONDS]} if SECONDS in series else {}
            scale = scale_of(record, counted | noted, store.snapshots(run), store.controls(run))
        except StoreError as error:
            found[run] = RunSeries({}, RunScale(), str(error))
            continue
        # It is in the scale, and no plot draws it.
        drawn = {name: one for name, one in series.items() if name in names or name != SECONDS}
        found[run] = RunSeries(drawn, scale)
    return found
