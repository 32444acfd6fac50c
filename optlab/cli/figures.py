"""``optlab figures``: the figures of the notes, drawn from live runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from optlab.cli.options import json_option
from optlab.cli.output import say, say_json, say_table
from optlab.core.errors import InvalidInput
from optlab.studies.figures import catalogue, page
from optlab.studies.figures.base import Figure, Number, document
from optlab.studies.figures.page import FORMATS, THEMES, Format, Page, Theme

ORDER = 110
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("figures", help=_HELP, short_help="Draw the figures of the notes from live runs.")(
        figures
    )


_HELP = (
    "Draw the figures of the notes from live runs: a file each in the folder --to, with title and "
    "caption, and the numbers that they were made from on "
    "standard output.\n\n"
    "Figures: 4.1 following the derivative; 4.2 critical points of one variable; 4.5 a saddle; "
    "8.1 gradient norm against error; 8.3 a cliff; 8.4 a mountain; "
    "8.5 momentum. They need matplotlib (pip install 'matplotlib>=3.8') and no display."
)


def figures(
    to: Annotated[
        Path,
        typer.Option(
            "--to", metavar="DIR", help="The folder to write to; created if it does not exist."
        ),
    ],
    only: Annotated[
        str, typer.Option("--only", metavar="8.3,…", help="These figures; by default all.")
    ] = "",
    theme: Annotated[
        str, typer.Option("--theme", metavar="|".join(THEMES), help="Colors.")
    ] = "light",
    format: Annotated[
        str, typer.Option("--format", metavar="|".join(FORMATS), help="What to write.")
    ] = "png",
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    json: Annotated[bool, json_option("every number")] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    for name, value, allowed in (("theme", theme, THEMES), ("format", format, FORMATS)):
        if value not in allowed:
            raise InvalidInput(
                f"--{name} is '{value}', but it must be one of {', '.join(allowed)}.", name
            )
    page.require()
    wanted = catalogue.chosen([number.strip() for number in only.split(",") if number.strip()])
    files = [to / f"figure-{figure.number}-{theme}.{format}" for figure in wanted]
    _prepare(to, files, force)
    found: list[dict[str, Any]] = []
    for figure, path in zip(wanted, files, strict=True):
        began = time.perf_counter()
        data = figure.compute()
        caption, numbers = figure.caption(data), figure.numbers(data)
        sheet = Page(figure.number, figure.title, caption, figure.size, cast(Theme, theme))
        with sheet.style():
            figure.draw(data, sheet)
        sheet.write(path, cast(Format, format))
        found.append(
            {
                "number": figure.number,
                "title": figure.title,
                "caption": caption,
                "file": str(path),
                "seconds": time.perf_counter() - began,
                "numbers": numbers,
                "data": document(data),
            }
        )
        if not json:
            _say(figure, caption, numbers, path)
    if json:
        say_json({"theme": theme, "format": format, "figures": found})


def _prepare(to: Path, files: list[Path], force: bool) -> None:
    """Make the folder, and look before anything is computed.

    Raises:
        InvalidInput: it cannot be made, or a file is there already and is not to be replaced.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"--to is {to}, which cannot be created ({error.strerror or error}); choose another.",
            "to",
        ) from None
    there = [path.name for path in files if path.exists()]
    if there and not force:
        raise InvalidInput(
            f"{to} already contains {', '.join(there)}; choose another folder, or overwrite with "
            "--force.",
            "to",
        )


def _say(figure: Figure[Any], caption: str, numbers: Any, path: Path) -> None:
    say(f"Figure {figure.number}: {figure.title}")
    say(f"  {caption}")
    say_table(
        ("Number", "Value"), [(f"  {label}", _shown(value)) for label, value in numbers.items()]
    )
    say(f"  {path}")
    say()


def _shown(value: Number) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return f"{value:.5g}"
    return ", ".join(f"{float(part):.5g}" for part in value)
