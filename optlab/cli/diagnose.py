"""``optlab diagnose``: what limits a stored run, with the evidence and what would help."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from optlab.cli.options import Json
from optlab.cli.output import say, say_json
from optlab.studies.diagnosis.base import Finding
from optlab.tasks.diagnosis import RunDiagnosis
from optlab.tasks.stored_runs import RunCurvesTask
from optlab.training.control import Inbox

ORDER = 75
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("diagnose", help=_HELP, short_help="Say what limits a stored run, and what helps.")(
        diagnose
    )


_HELP = (
    "Say what limits a stored RUN, from what was measured: each problem with its evidence and the "
    "changes that would help, the most severe first.\n\n"
    "RUN is an id that optlab runs lists, or its beginning. More is found with more measured: "
    "instruments (--instrument) show λ₁, noise and activations. Try: optlab run diverges, then "
    "optlab diagnose with the id that it prints."
)


def diagnose(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or its beginning.")],
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: no run or more than one matches.
    """
    (curves,) = RunCurvesTask(run).run(Inbox())
    result = curves.diagnosis
    if json:
        say_json(_document(result))
    else:
        _say(result)
    return 0


def _document(result: RunDiagnosis) -> dict[str, Any]:
    record = result.record
    return {
        "run": record.id,
        "title": record.title,
        "status": record.status,
        "steps": record.steps,
        "measured": result.measured,
        "findings": [dataclasses.asdict(finding) for finding in result.findings],
    }


def _say(result: RunDiagnosis) -> None:
    record = result.record
    say(f"{record.title}, run {record.id}: {record.status} after {record.steps:,} steps")
    if not result.measured:
        say("  Nothing was measured, so there is nothing to diagnose.")
    elif not result.findings:
        say("  No problem found in the measured series.")
    for finding in result.findings:
        _say_finding(finding, record.id)


def _say_finding(finding: Finding, run: str) -> None:
    say(f"  {finding.sentence}")
    say(f"    evidence         {finding.evidence}")
    for remedy in finding.remedies:
        flags = " ".join(f"--set {path}={value}" for path, value in remedy.changes.items())
        if flags:
            say(f"    remedy           {remedy.label}: {flags}")
        if remedy.fits_fork:
            say(f"    … as a fork      optlab fork {run} {flags}")
