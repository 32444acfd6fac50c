"""``optlab doctor``: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from optlab.cli.options import json_option
from optlab.cli.output import say, say_json
from optlab.tasks.doctor import examine

ORDER = 190
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "doctor", help=_HELP, short_help="Report what works here, and how to fix what does not."
    )(doctor)


_HELP = (
    "Report what works on this machine, and how to fix what does not: versions, devices, display, "
    "data folder, stored runs.\n\n"
    "Nothing is changed. The exit code is 0 unless something is broken that training needs; then "
    "it is 1."
)


def doctor(
    json: Annotated[bool, json_option("ok, and the findings")] = False,
) -> int:
    """Run the command."""
    findings = examine()
    broken = any(finding.essential and not finding.good for finding in findings)
    if json:
        say_json(
            {"ok": not broken, "findings": [dataclasses.asdict(finding) for finding in findings]}
        )
        return int(broken)
    for finding in findings:
        say(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.part:<13} {finding.words}")
        if finding.advice:
            say(f"{'':22} {finding.advice}")
    problems = sum(not finding.good for finding in findings)
    verdict = "Training does not work." if broken else "Training works."
    say(f"\n{verdict} Problems: {problems}.")
    return int(broken)
