"""The result of a study as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optlab.cli.output import say, say_table
from optlab.studies.comparison.words import (
    comparison_sentence,
    counted_table,
    interval,
    number,
    remarks,
    seeds_words,
)


def say_study(document: Mapping[str, Any]) -> None:
    """Say what a study came to.

    Args:
        document: as ``study --json`` prints it.
    """
    if document["question"]:
        say(document["question"])
    say_comparison(document)
    say()
    say(f"{document['statement']}: {document['verdict']} here.")
    say(
        f"Stored as study {document['study']}; show it again by: optlab studies {document['study']}"
    )


def say_comparison(document: Mapping[str, Any]) -> None:
    """Say how the arms of a study, or stored runs, compare."""
    say(f"Measured: {document['measure']}; {seeds_words(document)}.")
    say()
    say_table(("Arm", "Mean", "Interval", "Runs", ""), arm_rows(document["arms"]), headed=True)
    say()
    headings, rows = counted_table(document["arms"])
    if rows:
        say_table(headings, rows, headed=True)
        say()
    for comparison in document["comparisons"]:
        say(comparison_sentence(comparison))


def arm_rows(arms: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of the table of arms."""
    return [
        (
            name,
            number(arm["mean"]),
            interval(arm["interval"]),
            str(len(arm["low"])),
            "; ".join(remarks(arm)),
        )
        for name, arm in arms.items()
    ]
