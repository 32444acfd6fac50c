"""``optlab label``: names, stars, notes, tags and colors of stored runs."""

from __future__ import annotations

from typing import Annotated

import typer

from optlab.cli.options import json_option
from optlab.cli.output import say, say_json
from optlab.cli.runs import document
from optlab.core.errors import InvalidInput
from optlab.store import Store
from optlab.store.labels import Labels

ORDER = 71
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("label", help=_HELP, short_help="Name, star, tag or note stored runs.")(label)


_HELP = (
    "Say something of stored RUNs: a name, a star, a note, tags, a color. The window shows the "
    "same, and optlab runs lists by it.\n\n"
    "Try: optlab label 20260101 --star --tag keep, then optlab runs --tag keep."
)


def label(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…", help="Names of runs, or the beginnings of them; see optlab runs."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The run's own name; an empty text removes it."),
    ] = None,
    star: Annotated[
        bool | None, typer.Option("--star/--no-star", help="Give it a star, or take it away.")
    ] = None,
    note: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A note; an empty text removes it.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Add a tag; may be given repeatedly.")
    ] = None,
    untag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Remove a tag.")] = None,
    color: Annotated[
        int | None,
        typer.Option(metavar="INDEX", help="Color of its curves: index into the palette, from 0."),
    ] = None,
    json: Annotated[
        bool, json_option("the runs, as optlab runs has them", "One JSON array")
    ] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: nothing is said, a value is not allowed, or one name is to be that of several
            runs.
    """
    labels = Labels(
        name=name,
        color=color,
        starred=star,
        note=note,
        add_tags=tuple(tag or ()),
        remove_tags=tuple(untag or ()),
    )
    if labels == Labels():
        raise InvalidInput(
            "Nothing was said of the run: give --name, --star, --note, --tag, --untag or --color."
        )
    # Found before the store is opened for writing, so that a wrong name changes nothing at all.
    with Store.open_readonly() as store:
        ids = list(dict.fromkeys(store.run(one).id for one in runs))
    if name and len(ids) > 1:
        raise InvalidInput("--name is of one run; give one RUN.", "name")
    with Store.open() as store:
        store.label(dict.fromkeys(ids, labels))
        records = [store.run(one) for one in ids]
    if json:
        say_json([document(record) for record in records])
        return
    for record in records:
        said = (
            "★" if record.starred else "",
            record.name or record.title,
            f"[{', '.join(record.tags)}]" if record.tags else "",
        )
        say(f"{record.id}: {' '.join(filter(None, said))}")
