"""Export of a run in one call, for the command and the dialog of the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean
from optlab.store import Store
from optlab.store.export import csv, parquet
from optlab.store.export.table import Table, tabulate
from optlab.store.export.writing import check_target

FORMATS: Mapping[str, Callable[[Table, Path], None]] = {"csv": csv.write, "parquet": parquet.write}
"""Format → the function that writes it."""


def export(store: Store, run: str, format: str, path: Path, *, force: bool = False) -> Table:
    """Write the series of a run to a file, completely or not at all.

    Args:
        store: with the run.
        run: its id, or a unique prefix of it.
        format: one of :data:`FORMATS`.
        path: of the file.
        force: whether an existing file is replaced.

    Returns:
        the written table.

    Raises:
        InvalidInput: there is no such run or format, or ``path`` is not usable.
        MissingPart: the format needs a library that is not installed.
        StoreError: the run cannot be read, or the file cannot be written.
    """
    if format not in FORMATS:
        raise InvalidInput(
            f"The format is '{format}'{did_you_mean(format, FORMATS)}, but it must be one of "
            f"{', '.join(FORMATS)}.",
            "format",
        )
    check_target(path, force=force)
    record = store.run(run)
    about = {
        "run": record.id,
        "title": record.title,
        "status": record.status,
        "reason": record.reason,
        "steps": str(record.steps),
        "theta_sha256": record.theta_sha256,
        "experiment": record.experiment,
    }
    table = tabulate(store.series(record.id), about)
    FORMATS[format](table, path)
    return table
