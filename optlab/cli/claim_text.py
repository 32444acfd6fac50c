"""Claims and what they came to, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optlab.cli.output import say, say_table
from optlab.studies.claims.claim import Claim
from optlab.studies.claims.words import control_words
from optlab.studies.comparison.words import comparison_sentence, interval, number


def say_outcome(document: Mapping[str, Any], claim: Claim) -> None:
    """Say what a claim came to.

    Args:
        document: as ``claim --json`` has it.
    """
    say(f"{claim.id}. {claim.text.statement}")
    say(f"Measured: {document['measure']}; {document['seeds']} seeds per arm.")
    say()
    for comparison in document["comparisons"]:
        say(comparison_sentence(comparison))
    say()
    say(f"{document['verdict']} here; {control_words(document['control'])}.")
    say(f"Why this protocol, and what to try next: optlab show {claim.id}")


def say_outcomes(documents: Sequence[Mapping[str, Any]]) -> None:
    """Say what several claims came to, one a line."""
    say_table(
        ("Claim", "Verdict", "Effect", "Interval", "Margin", "Seeds", "Control", "Seconds"),
        [
            (
                str(one["claim"]),
                str(one["verdict"] or "none"),
                number(one["effect"]),
                interval(one["interval"]),
                number(one["margin"]),
                str(one["seeds"]),
                str(one["control"] or "–"),
                "–" if one["seconds"] is None else f"{one['seconds']:.0f}",
            )
            for one in documents
        ],
        headed=True,
    )
