"""``optlab explore``: the demonstrations, each of which puts a statement of the notes to the test."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from optlab.cli.options import json_option, set_option
from optlab.cli.output import field_document, say, say_json, say_table, terminal_width
from optlab.cli.show import READING_WIDTH, lines, page_document
from optlab.core.errors import InvalidInput, OptLabError
from optlab.core.fields import did_you_mean, shown
from optlab.experiment.pages import page, sentence
from optlab.studies import demonstrations
from optlab.studies.demonstrations.base import (
    Cell,
    Curve,
    Demonstration,
    DemonstrationResult,
    Image,
    Plot,
    Progress,
    Scatter,
    Table,
)

_ROWS = 30
"""Largest number of rows that are printed; the file has all."""

ORDER = 180
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "explore",
        help=_HELP,
        short_help="Put a statement of the notes to the test: symmetry, saddles, noise, …",
    )(explore)


_HELP = (
    "Run the demonstration NAME: a small experiment that puts one statement of the notes to the "
    "test, and "
    "says what it found in a table and a sentence. "
    "optlab explore list gives the names, --about the page of one.\n\n"
    "Try: optlab explore random_functions, or optlab explore powers_of_w --set radius=1.1 --to "
    "powers.csv."
)


def explore(
    name: Annotated[
        str,
        typer.Argument(
            metavar="list|NAME", help="A demonstration, such as symmetry; list shows all."
        ),
    ] = "list",
    changes: Annotated[list[str] | None, set_option(metavar="FIELD=VALUE")] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole table there, as CSV.")
    ] = None,
    about: Annotated[
        bool,
        typer.Option("--about", help="Show its page (rule, fields, source) without running it."),
    ] = False,
    json: Annotated[bool, json_option("table and curves")] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
        OptLabError: the demonstration gave no result, or its table cannot be written.
    """
    if name == "list":
        _say_list(json)
        return
    demonstration = demonstrations.get(name)
    if about:
        _say_page(demonstration, json)
        return
    if to is not None and not to.absolute().parent.is_dir():
        raise InvalidInput(
            f"--to is {str(to)!r}, but there is no folder {str(to.absolute().parent)!r}; make it "
            "first.",
            "to",
        )
    built = demonstrations.build(name, values(demonstration, changes or []))
    found = None
    with _progress_bar(silent=json) as progress:
        for found in built.run(progress):
            progress.report(found.done)
    if found is None:
        raise OptLabError(f"The demonstration {name} gave no result.")
    if to is not None:
        write(found.table, to)
    if json:
        say_json(document(built, found))
    else:
        _say(built, found, to)


def values(demonstration: type[Demonstration], changes: Sequence[str]) -> dict[str, Any]:
    """Field → value of ``field=value`` texts.

    Raises:
        InvalidInput: a text is not of that form, or of no field or not of its kind.
    """
    known = {field.name: field for field in demonstration.fields()}
    found: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        key = key.strip()
        if not equals or key not in known:
            close = did_you_mean(key, known)
            raise InvalidInput(
                f"--set is {shown(change)}{close}, but it must be FIELD=VALUE with a field of "
                f"{demonstration.name}: {', '.join(known)}.",
                key,
            )
        try:
            found[key] = known[key].parse(text)
        except (ValueError, KeyError):
            raise InvalidInput(
                f"{demonstration.name}.{key} is {shown(text.strip())}, but it must be "
                f"{known[key].allowed}.",
                key,
            ) from None
    return found


def write(table: Table, to: Path) -> None:
    """Write a table as CSV, numbers in full; an empty cell where there is no value.

    Raises:
        OptLabError: the file cannot be written.
    """
    beside = to.with_name(to.name + ".part")
    try:
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([column.heading for column in table.columns])
            writer.writerows(
                [
                    "" if cell is None else repr(cell) if isinstance(cell, float) else cell
                    for cell in row
                ]
                for row in table.rows
            )
        os.replace(beside, to)
    except OSError as error:
        raise OptLabError(f"{to} cannot be written: {error.strerror}.") from error


def document(demonstration: Demonstration, found: DemonstrationResult) -> dict[str, Any]:
    """Return a result as it is written to JSON."""
    return {
        "demonstration": demonstration.name,
        "row": demonstration.row,
        "fields": demonstration.values(),
        "sentence": found.sentence,
        "numbers": dict(found.numbers),
        "table": {
            "columns": [
                {"name": column.name, "unit": column.unit} for column in found.table.columns
            ],
            "rows": [list(row) for row in found.table.rows],
        },
        "plots": [_plot_document(plot) for plot in found.plots],
    }


def _plot_document(plot: Plot) -> dict[str, Any]:
    def points(drawn: Curve | Scatter) -> dict[str, Any]:
        return {"name": drawn.name, "x": drawn.x.tolist(), "y": drawn.y.tolist()}

    def picture(image: Image) -> dict[str, Any]:
        return {"x": image.x, "y": image.y, "values": image.values.tolist()}

    return {
        "title": plot.title,
        **{
            name: {"label": axis.label, "unit": axis.unit, "log": axis.log}
            for name, axis in (("x", plot.x), ("y", plot.y))
        },
        "curves": [
            {
                **points(curve),
                "error": None if curve.error is None else curve.error.tolist(),
                "style": curve.style,
            }
            for curve in plot.curves
        ],
        "scatters": [points(scatter) for scatter in plot.scatters],
        "image": None if plot.image is None else picture(plot.image),
    }


def _say_list(json: bool) -> None:
    everyone = demonstrations.demonstrations()
    if json:
        say_json(
            [
                {
                    "name": b.name,
                    "label": b.label,
                    "row": b.row,
                    "sentence": sentence(b),
                    "note": b.note,
                    "fields": [field_document(f) for f in b.fields()],
                }
                for b in everyone
            ]
        )
    else:
        say_table(
            ("Name", "Row", "What it shows"),
            [
                (demonstration.name, demonstration.row, sentence(demonstration))
                for demonstration in everyone
            ],
        )


def _say_page(demonstration: type[Demonstration], json: bool) -> None:
    if json:
        say_json(
            {
                **page_document(page(demonstration)),
                "row": demonstration.row,
                "note": demonstration.note,
            }
        )
    else:
        say(
            "\n".join(
                lines(page(demonstration), min(terminal_width() or READING_WIDTH, READING_WIDTH))
            )
        )


def _say(demonstration: Demonstration, found: DemonstrationResult, to: Path | None) -> None:
    say(f"{demonstration.label} ({demonstration.row})\n")
    rows = found.table.rows
    say_table(
        [column.heading for column in found.table.columns],
        [[_cell(cell) for cell in row] for row in rows[:_ROWS]],
        headed=True,
    )
    if len(rows) > _ROWS:
        say(
            f"… and {len(rows) - _ROWS:,} rows more"
            + ("" if to is not None else "; --to FILE.csv writes all")
            + "."
        )
    say(f"\n{found.sentence}")
    if to is not None:
        say(f"The table of {len(rows):,} rows is in {to}.")


def _cell(cell: Cell) -> str:
    return "" if cell is None else f"{cell:.5g}" if isinstance(cell, float) else str(cell)


class _BarProgress(Progress):
    """Progress that moves a bar."""

    def __init__(self, progress: Any) -> None:
        self._progress, self._task = progress, progress.add_task("exploring", total=1.0)

    def report(self, done: float) -> None:
        self._progress.update(self._task, completed=done)


@contextmanager
def _progress_bar(*, silent: bool) -> Iterator[Progress]:
    """A bar on standard error, where that is a terminal."""
    if silent or not sys.stderr.isatty():
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import Progress as ProgressBar

    with ProgressBar(
        console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        yield _BarProgress(progress)
