"""``optlab import``: inspect a data file and write an experiment that trains on it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from optlab.catalogue.datasets.base import Dataset
from optlab.cli.options import json_option
from optlab.cli.output import say, say_json, say_table
from optlab.cli.reading_data import prepare
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown
from optlab.core.files import write_atomically
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.outside.datafiles.preview import COMPONENTS, Kind, Preview, preview
from optlab.outside.datafiles.table_report import TableReport
from optlab.tasks.own_data import balanced_loss, tables_of

_SHOWN_ROWS, _SHOWN_COLUMNS, _SHOWN_CLASSES = 5, 8, 10
_KINDS: dict[Kind, str] = {"csv": "a CSV table", "npz": "an NPZ file", "idx": "IDX files"}


_OPTIONS = {"y": "target", "columns": "column", "missing_words": "missing-word"}
"""Field of a data set → name of its option, where they differ."""


def _choices(field: str, sentence: str) -> str:
    """Return the help of an option that fills a field of a CSV table."""
    declared = registry.get("dataset", COMPONENTS["csv"]).field(field)
    return f"{sentence}: {', '.join(declared.choices)}."


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
    "Inspect a data file of your own (CSV, NPZ, or a folder of IDX files) and write an experiment "
    "file that trains on it.\n\n"
    "Try: optlab import table.csv --target species, then optlab run table.toml. What cannot be "
    "used is refused with its row and column, and "
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
    delimiter: Annotated[
        str, typer.Option(metavar="NAME", help=_choices("delimiter", "What separates columns"))
    ] = "",
    decimal: Annotated[
        str, typer.Option(metavar="NAME", help=_choices("decimal", "The decimal sign"))
    ] = "",
    header: Annotated[
        str,
        typer.Option(metavar="NAME", help=_choices("header", "Whether the first row is a header")),
    ] = "",
    missing: Annotated[
        str,
        typer.Option(metavar="NAME", help=_choices("missing", "What to do with missing values")),
    ] = "",
    task: Annotated[
        str, typer.Option(metavar="NAME", help=_choices("task", "What the target is"))
    ] = "",
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A column of a table that is not an input, by name or number from 1; may be "
            "repeated.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="COLUMN=ROLE",
            help="What a column of a table is for: number, category, ordinal:S<M<L, boolean, date, "
            "date:dmy, date:mdy, calendar, code, text, id or ignore; may be repeated. The roles of the "
            "other columns are suggested.",
        ),
    ] = None,
    missing_words: Annotated[
        list[str] | None,
        typer.Option(
            "--missing-word",
            metavar="WORD",
            help="A cell that stands for a missing value, such as -999; may be repeated.",
        ),
    ] = None,
    quote: Annotated[
        str, typer.Option(metavar="NAME", help=_choices("quote", "The sign around cells"))
    ] = "",
    encoding: Annotated[
        str, typer.Option(metavar="NAME", help=_choices("encoding", "How characters are stored"))
    ] = "",
    class_weights: Annotated[
        bool,
        typer.Option(
            "--class-weights",
            help="Weight each class by the inverse of its share of the training examples.",
        ),
    ] = False,
    to: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Where to write the experiment; by default the file's name with .toml, in this "
            "folder.",
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Annotated[bool, json_option("what was seen, and where the experiment is")] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    seen = preview(path)
    options: dict[str, Any] = {
        "target" if seen.kind == "csv" else "y": target,
        "delimiter": delimiter,
        "decimal": decimal,
        "header": header,
        "missing": missing,
        "task": task,
        "ignore": ignore or [],
        "columns": columns or [],
        "missing_words": missing_words or [],
        "quote": quote,
        "encoding": encoding,
    }
    choices = {key: value for key, value in options.items() if value}
    if choices:
        _check_choices(seen.kind, choices)
        seen = preview(path, **choices)
    if seen.problem:
        raise InvalidInput(seen.problem, "path")
    place = Path(to).expanduser() if to else Path(f"{Path(seen.path).stem or 'experiment'}.toml")
    if place.exists() and (not force or not place.is_file()):
        raise InvalidInput(
            f"{place} already exists; choose another path (--to), or overwrite it (--force).", "to"
        )
    if not place.parent.is_dir():
        raise InvalidInput(f"{place} cannot be written: there is no folder {place.parent}.", "to")
    tables = tables_of(seen)
    data = registry.build(Dataset, tables["dataset"])
    prepare(data, silent=json)
    shape = data.shape()
    if class_weights:
        tables["loss"] = balanced_loss(data)
    experiment = Experiment.from_dict(tables)
    loaded = data.load()
    experiment.check_data(loaded)
    reported = data.table_report(loaded)
    write_atomically(place, experiment.to_toml().encode("utf-8"))
    if json:
        say_json(
            _document(seen, place, tables["dataset"])
            | {"inputs": list(shape.inputs), "outputs": shape.outputs, "task": shape.task}
            | ({} if reported is None else _encoded(reported))
        )
        return
    for note in seen.notes:
        print(printable(note), file=sys.stderr)
    _say(seen)
    if reported is not None and not all(one.inputs == (one.name,) for one in reported.columns):
        _say_columns(reported)
    what = _classes(data) if shape.task == "classes" else "a real-valued target"
    say(f"{seen.path}: {shape.width:,} inputs, {what}")
    say(f"Written: {place}; train it with: optlab run {place}")


def _classes(data: Any) -> str:
    """Return the classes as the end of a sentence, by name where they are few."""
    names = list(data.class_names())
    named = f" ({printable(', '.join(names))})" if len(names) <= _SHOWN_CLASSES else ""
    return f"{data.shape().outputs} classes{named}"


def _check_choices(kind: Kind, choices: Mapping[str, Any]) -> None:
    """Refuse options that the data set of a kind of file does not have, and values they cannot take.

    Raises:
        InvalidInput: the message names the option.
    """
    fields = {field.name: field for field in registry.get("dataset", COMPONENTS[kind]).fields()}
    for key, value in choices.items():
        option = _OPTIONS.get(key, key)
        if key not in fields:
            only = " or ".join(
                label
                for other, label in _KINDS.items()
                if key in registry.get("dataset", COMPONENTS[other]).model_fields
            )
            raise InvalidInput(
                f"--{option} is {shown(value)}, but the file is read as {_KINDS[kind]}; the option "
                f"is for {only or 'a table or an NPZ file'}.",
                option,
            )
        if fields[key].choices and value not in fields[key].choices:
            raise InvalidInput(
                f"--{option} is {shown(value)}, but it must be {fields[key].allowed}.", option
            )


def _document(seen: Preview, place: Path, section: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": seen.path,
        "kind": seen.kind,
        "experiment": str(place),
        "dataset": section,
        "columns": [{"name": column.name, "kind": column.kind} for column in seen.columns],
        "rows": [list(row) for row in seen.rows],
        "notes": list(seen.notes),
        "width": seen.width,
        "target": seen.target,
    }


def _encoded(reported: TableReport) -> dict[str, Any]:
    """Return what becomes of the columns, for programs."""
    columns = [
        {
            "name": one.name,
            "role": one.role,
            "missing": one.missing,
            "distribution": one.distribution,
            "inputs": list(one.inputs),
        }
        for one in reported.columns
    ]
    return {"encoded": columns, "training": reported.columns[0].count, "dropped": reported.dropped}


def _say_columns(reported: TableReport) -> None:
    """The roles of the columns, and what they become."""
    headers = ["Column", "Role", "Missing", "In the training part", "Inputs"]
    rows = [
        [
            printable(one.name),
            printable(one.role),
            f"{one.missing:,}",
            printable(one.distribution),
            f"{len(one.inputs):,}",
        ]
        for one in reported.columns
    ]
    say_table(headers, [headers, *rows])


def _say(seen: Preview) -> None:
    """The first rows."""
    columns = seen.columns[:_SHOWN_COLUMNS]
    more = "…" if seen.width > len(columns) else ""
    headers = [column.name for column in columns] + ([more] if more else [])
    rows = [[*row[: len(columns)], *([more] if more else [])] for row in seen.rows[:_SHOWN_ROWS]]
    say_table(headers, [headers, *rows])
