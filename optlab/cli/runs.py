"""``optlab runs``: what has been stored."""

from __future__ import annotations

import dataclasses
import math
import sys
from datetime import datetime
from typing import Annotated, Any

from optlab.cli.options import json_option
from optlab.cli.output import say, say_json, say_table
from optlab.core.lazy import typer
from optlab.core.printable import printable
from optlab.store import RunRecord, Store

ORDER = 70
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("runs", help=_HELP, short_help="List the stored runs.")(runs)


_HELP = (
    "List the stored runs, the newest first.\n\n"
    "The name in the first column is what optlab export and optlab run --resume take; a prefix "
    "that no other run shares is enough. optlab label gives runs names, stars and tags.\n\n"
    "--filter takes words (in title, name, tags, note, optimizer, data set, model, status) and "
    "conditions on settings and results: lr<0.1, validation_loss<=0.3, tag=keep, -adam."
)


def runs(
    starred: Annotated[bool, typer.Option("--starred", help="Only runs with a star.")] = False,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="Only runs with this tag; more than one: with all."),
    ] = None,
    filter: Annotated[
        str, typer.Option(metavar="TEXT", help="Only runs with these words and conditions.")
    ] = "",
    json: Annotated[
        bool, json_option("each run with its experiment and its end", "One JSON array")
    ] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: the filter has a condition that is not one.
    """
    with Store.open_readonly() as store:
        records, hidden = store.runs(), store.hidden
        found = _chosen(store, records, starred, tag or [], filter)
    if hidden:
        print(printable(hidden), file=sys.stderr)
    if json:
        say_json([document(record) for record in found])
    elif records and not found:
        say(f"None of the {len(records):,} stored runs is like this.")
    elif not records:
        say("No runs are stored yet; make one with: optlab run digits-mlp")
    else:
        say_table(
            ("Run", "Created", "Status", "Steps", "Validation", "Device", "Title"),
            [_row(record) for record in found],
        )


def _plain(json: bool = False, starred: bool = False) -> None:
    runs(json=json, starred=starred)


PLAIN = _plain
"""See :mod:`optlab.cli.plain_calls`."""


def _chosen(
    store: Store, records: list[RunRecord], starred: bool, tags: list[str], text: str
) -> list[RunRecord]:
    if not text:
        return [
            record
            for record in records
            if (record.starred or not starred) and set(tags) <= set(record.tags)
        ]
    # Imported here: a plain list does not wait for what reads experiments.
    from optlab.tasks.run_filter import RunFilter
    from optlab.tasks.run_table import rows_of

    chosen = RunFilter.of(text, starred=starred, tags=tuple(tags))
    rows = rows_of(store, records)
    return [record for record in records if chosen.matches(rows[record.id])]


def document(record: RunRecord) -> dict[str, Any]:
    """Return a run as it is written to JSON: the attributes of :class:`optlab.store.RunRecord`."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _row(record: RunRecord) -> tuple[str, ...]:
    return (
        record.id,
        when(record.created),
        record.status,
        f"{record.steps:,}",
        _validation(record),
        record.device,
        _title(record),
    )


def _title(record: RunRecord) -> str:
    """Return name or title, with what else the user said of the run."""
    parts = (
        "★" if record.starred else "",
        f"{record.name} · {record.title}" if record.name else record.title,
        f"[{', '.join(record.tags)}]" if record.tags else "",
        f"(fork of {record.parent} at step {record.at:,})" if record.parent else "",
    )
    return " ".join(filter(None, parts))


def when(created: str) -> str:
    """Return a stored time in the local time zone, to the minute."""
    # Without a time zone, which takes as long to write as all the rest of a row.
    local = datetime.fromtimestamp(datetime.fromisoformat(created).timestamp())
    return local.isoformat(" ", "minutes")


def _validation(record: RunRecord) -> str:
    error, loss = record.final.get("validation_error"), record.final.get("validation_loss")
    if error is not None and math.isfinite(error):
        return f"{error:.2%}"
    return f"{loss:.4g}" if loss is not None and math.isfinite(loss) else "–"
