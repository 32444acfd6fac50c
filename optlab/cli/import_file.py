"""``optlab import``: look at a file of one's own, and write an experiment that trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from optlab.cli.output import say, say_json, say_table
from optlab.core.errors import InvalidInput
from optlab.core.files import write_atomically
from optlab.experiment import Experiment
from optlab.outside.datafiles.preview import Preview, dataset, preview

_SHOWN_ROWS, _SHOWN_COLUMNS = 5, 8

ORDER = 90
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "import",
        help=_HELP,
        short_help="Write an experiment file that trains on a CSV, NPZ or IDX file.",
    )(import_file)


_HELP = (
    "Look at a data file of your own (CSV, NPZ, or a folder of IDX files) and write an experiment file that trains on it.\n\n"
    "Try: optlab import table.csv --target species, then optlab run table.toml. What cannot be used is told with its row and column, and "
    "nothing is written."
)


def import_file(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="The file, or a folder of IDX files.")
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="COLUMN", help="What to predict: a column of a table, an array of an NPZ file."
        ),
    ] = "",
    to: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Where to write the experiment; by default the file's name with .toml, in this folder.",
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One JSON document on standard output: what was seen, and where the experiment is.",
        ),
    ] = False,
) -> None:
    """See the module."""
    seen = preview(path)
    if target:
        if seen.kind == "idx":
            raise InvalidInput(
                f"--target is '{target}', but IDX files have one target only, their labels.",
                "target",
            )
        seen = preview(path, **{"target" if seen.kind == "csv" else "y": target})
    if seen.problem:
        raise InvalidInput(seen.problem, "path")
    place = Path(to).expanduser() if to else Path(f"{Path(seen.path).stem or 'experiment'}.toml")
    if place.exists() and (not force or not place.is_file()):
        raise InvalidInput(
            f"{place} is there already; choose another place (--to), or replace it (--force).", "to"
        )
    if not place.parent.is_dir():
        raise InvalidInput(f"{place} cannot be written: there is no folder {place.parent}.", "to")
    section = seen.section()
    data: Any = dataset(section)
    experiment = Experiment.from_dict(
        {"title": Path(seen.path).name[:200], "dataset": section, "model": {"name": "mlp"}}
    )
    data.load()
    write_atomically(place, experiment.to_toml().encode("utf-8"))
    shape = data.shape()
    if json:
        say_json(
            _document(seen, place, section)
            | {"inputs": list(shape.inputs), "outputs": shape.outputs, "task": shape.task}
        )
        return
    _say(seen)
    what = f"{shape.outputs} classes" if shape.task == "classes" else "a real-valued target"
    say(f"{seen.path}: {shape.width:,} inputs, {what}")
    say(f"Written: {place}; train it with: optlab run {place}")


def _document(seen: Preview, place: Path, section: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": seen.path,
        "kind": seen.kind,
        "experiment": str(place),
        "dataset": section,
        "columns": [{"name": column.name, "kind": column.kind} for column in seen.columns],
        "rows": [list(row) for row in seen.rows],
        "width": seen.width,
        "target": seen.target,
    }


def _say(seen: Preview) -> None:
    """The first rows."""
    columns = seen.columns[:_SHOWN_COLUMNS]
    more = "…" if seen.width > len(columns) else ""
    headers = [column.name for column in columns] + ([more] if more else [])
    rows = [[*row[: len(columns)], *([more] if more else [])] for row in seen.rows[:_SHOWN_ROWS]]
    say_table(headers, [headers, *rows])
