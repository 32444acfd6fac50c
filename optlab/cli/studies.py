"""``optlab studies``: the stored studies, and the result of one."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from optlab.cli.options import Json
from optlab.cli.output import say, say_json, say_table
from optlab.cli.runs import when
from optlab.cli.study_text import say_study
from optlab.core.printable import printable
from optlab.store import Store
from optlab.store.records import StudyRecord

ORDER = 72
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("studies", help=_HELP, short_help="List the stored studies, or show one.")(studies)


_HELP = (
    "List the stored studies, the newest first; with STUDY, show the result of one.\n\n"
    "The name in the first column is what STUDY and optlab study --resume take; its beginning is "
    "enough where no other study begins alike."
)


def studies(
    study: Annotated[
        str, typer.Argument(metavar="[STUDY]", help="A study's name, or the beginning of it.")
    ] = "",
    json: Json = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: there is no such study.
    """
    with Store.open_readonly() as store:
        if study:
            record = store.study(study)
            _show(record, json)
            return
        records, hidden = store.studies(), store.hidden
    if hidden:
        print(printable(hidden), file=sys.stderr)
    if json:
        say_json([document(record) for record in records])
    elif not records:
        say("No studies are stored yet; make one with: optlab study nesterov-vs-momentum")
    else:
        say_table(
            ("Study", "Created", "Status", "Verdict", "What it decides"),
            [
                (
                    record.id,
                    when(record.created),
                    record.status,
                    str(record.result.get("verdict", "–")),
                    record.question,
                )
                for record in records
            ],
        )


def document(record: StudyRecord) -> dict[str, Any]:
    """Return a study as ``study --json`` has it."""
    return {
        "study": record.id,
        "name": record.name,
        "question": record.question,
        "status": record.status,
        "reason": record.reason or None,
        "created": record.created,
        "seconds": record.seconds,
        "versions": record.versions,
        "verdict": None,
        **record.result,
    }


def _show(record: StudyRecord, json: bool) -> None:
    if json:
        say_json(document(record))
    elif record.result:
        say_study(document(record))
    else:
        say(f"{record.question or record.name}: {record.status}, {record.reason}")
        say(f"Go on with it by: optlab study --resume {record.id}")
