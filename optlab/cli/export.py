"""``optlab export``: a stored run as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optlab.cli.output import say
from optlab.store import Store
from optlab.store.export import FORMATS
from optlab.store.export import export as export_run

ORDER = 80
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("export", help=_HELP, short_help="Write a stored run to a CSV or Parquet file.")(
        export
    )


_HELP = (
    "Write the series of a stored RUN to a file: one row a step, one column a series, followed "
    "weights by name.\n\n"
    "A cell is empty where the series has no value at that step. The file is written whole or not "
    "at all. Parquet also "
    "carries the experiment and the run's end as metadata, and needs pyarrow."
)


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run's name, or the beginning of it; see optlab runs."
        ),
    ],
    format: Annotated[
        str, typer.Option("--format", metavar="|".join(FORMATS), help="What to write.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="PATH", help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Run the command."""
    with Store.open_readonly() as store:
        table = export_run(store, run, format, to, force=force)
    say(f"{to}: {len(table.steps):,} rows, {len(table.columns)} series of run {table.about['run']}")
