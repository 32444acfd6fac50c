"""The result of a study as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optlab.cli.output import say, say_table


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
    for comparison in document["comparisons"]:
        say(comparison_sentence(comparison))


def seeds_words(document: Mapping[str, Any]) -> str:
    """Return how many seeds and settings the arms had."""
    seeds, effort = document["seeds"], document["effort"]
    words = f"{seeds} seed{'s' if seeds != 1 else ''} an arm"
    return f"{words}, tuned over {effort} settings each" if effort > 1 else words


def arm_rows(arms: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of the table of arms."""
    return [
        (
            name,
            number(arm["mean"]),
            interval(arm["interval"]),
            str(len(arm["low"])),
            "; ".join(_remarks(arm)),
        )
        for name, arm in arms.items()
    ]


def _remarks(arm: Mapping[str, Any]) -> list[str]:
    remarks = [f"{path} {value}" for path, value in arm["setting"].items()]
    if arm["diverged"]:
        remarks.append(f"{arm['diverged']} diverged")
    if arm["censored"] - arm["diverged"] > 0:
        remarks.append(f"{arm['censored'] - arm['diverged']} did not reach the target")
    return remarks


def comparison_sentence(comparison: Mapping[str, Any]) -> str:
    """Return a comparison as a sentence."""
    arm, against = comparison["arm"], comparison["against"]
    subject = f"{arm} {comparison['relation']} {against}" if against else comparison["relation"]
    needed = comparison["seeds_needed"]
    more = f"; about {needed:,} seeds would decide" if needed else ""
    return (
        f"{subject}: effect {number(comparison['effect'])}, "
        f"{100.0 * comparison['level']:.4g} % interval {interval(comparison['interval'])} "
        f"({comparison['method']}), adjusted p {number(comparison['p_adjusted'])}: "
        f"{comparison['verdict']}{more}."
    )


def number(value: float | None) -> str:
    """Return a number with four digits; "–" where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.4g}"


def interval(ends: Sequence[float | None] | None) -> str:
    """Return an interval as text; an end that is not finite is open."""
    if ends is None:
        return "–"
    low, high = ends
    return f"[{_end(low, '−∞')}, {_end(high, '∞')}]"


def _end(value: float | None, open_end: str) -> str:
    return open_end if value is None or not math.isfinite(value) else number(value)
