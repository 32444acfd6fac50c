"""Export of runs in one call, for the command and the dialog of the window."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean
from optlab.store import RunRecord, Store
from optlab.store.export import csv, parquet, tensorboard
from optlab.store.export.table import Table, stack, tabulate
from optlab.store.export.writing import check_target

FORMATS: Mapping[str, Callable[[Table, Path], None]] = {
    "csv": csv.write,
    "parquet": parquet.write,
    "tensorboard": tensorboard.write,
}
"""Format → the function that writes it."""
_FOLDERS = ("tensorboard",)
"""Formats that write a folder."""


def export(
    store: Store, runs: str | Sequence[str], format: str, path: Path, *, force: bool = False
) -> Table:
    """Write the series of a run, or of several, to a file, completely or not at all.

    All that is written is in memory at the same time.

    Args:
        store: with the runs.
        runs: an id, or a unique prefix of it; or several, with a column for the run.
        format: one of :data:`FORMATS`.
        path: of the file, or of the folder where the format writes one.
        force: whether an existing file is replaced.

    Returns:
        the written table.

    Raises:
        InvalidInput: there is no such run or format, a run is named twice, or ``path`` is not usable.
        MissingPart: the format needs a library that is not installed.
        StoreError: a run cannot be read, or the file cannot be written.
    """
    if format not in FORMATS:
        raise InvalidInput(
            f"The format is '{format}'{did_you_mean(format, FORMATS)}, but it must be one of "
            f"{', '.join(FORMATS)}.",
            "format",
        )
    check_target(path, force=force, folder=format in _FOLDERS)
    if isinstance(runs, str):
        record = store.run(runs)
        table = tabulate(store.series(record.id), _about(record))
    else:
        table = _table_of_runs(store, runs)
    FORMATS[format](table, path)
    return table


def _table_of_runs(store: Store, runs: Sequence[str]) -> Table:
    records: dict[str, RunRecord] = {}
    for run in runs:
        record = store.run(run)
        if record.id in records:
            raise InvalidInput(f"Run {record.id} is named twice; name each run once.", "run")
        records[record.id] = record
    series = store.series_of(list(records))
    tables = {run: tabulate(series.pop(run), {}) for run in records}
    return stack(tables, {"runs": json.dumps([_about(record) for record in records.values()])})


def _about(record: RunRecord) -> dict[str, str]:
    return {
        "run": record.id,
        "title": record.title,
        "status": record.status,
        "reason": record.reason,
        "created": record.created,
        "steps": str(record.steps),
        "theta_sha256": record.theta_sha256,
        "experiment": record.experiment,
    }
