"""``optlab runs``: what has been stored."""

from __future__ import annotations

import dataclasses
import math
import sys
from datetime import datetime
from typing import Annotated, Any

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
    "that no other run shares is enough."
)


def runs(
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One JSON array on standard output, each run with its experiment and its end.",
        ),
    ] = False,
) -> None:
    """Run the command."""
    with Store.open_readonly() as store:
        records, hidden = store.runs(), store.hidden
    if hidden:
        print(printable(hidden), file=sys.stderr)
    if json:
        say_json([document(record) for record in records])
    elif not records:
        say("No runs are stored yet; make one with: optlab run digits-mlp")
    else:
        say_table(
            ("Run", "Created", "Status", "Steps", "Validation", "Device", "Title"),
            [_row(record) for record in records],
        )


PLAIN = runs
"""See :mod:`optlab.cli.plain_calls`."""


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
        f"{record.title} (fork of {record.parent} at step {record.at:,})"
        if record.parent
        else record.title,
    )


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
