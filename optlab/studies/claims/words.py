"""Claims in words: what the command line and the window both say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optlab.studies.claims.claim import Claim, is_negative
from optlab.studies.comparison.words import comparison_sentence


def control_words(verdict: str) -> str:
    """Return what the verdict of a negative control means."""
    if is_negative(verdict):  # type: ignore[arg-type]
        return f"the negative control is {verdict}, as it must not be supported"
    return "but the negative control is supported as well, so the verdict says nothing"


def page_lines(claim: Claim, found: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Yield heading and text of each part of a claim's page.

    Args:
        found: what was found, as ``claim --json`` has it.
    """
    text = claim.text
    yield f"{claim.id}. {text.statement}", ""
    yield "In the notes", f"{text.chapter}: “{text.notes}”"
    yield "Protocol", text.protocol
    yield "Statement", f"{claim.study.decision.statement or 'every two arms differ'}"
    yield (
        "Margin",
        f"{claim.study.decision.effect} of {claim.study.decision.margin:g}. {text.margin}",
    )
    yield "Negative control", text.negative
    yield "Found here", found_words(found)
    yield "What to try next", text.next


def found_words(found: Mapping[str, Any] | None) -> str:
    """Return what was found of a claim, in a few sentences."""
    if found is None:
        return "Not tested yet."
    comparisons = " ".join(comparison_sentence(one) for one in found["comparisons"])
    return (
        f"{str(found['verdict']).capitalize()}. {comparisons} "
        f"{control_words(found['control']).capitalize()}. Measured on {found['date']} with OptLab "
        f"{found['versions'].get('optlab', '?')} and {found['seeds']} seeds per arm, in "
        f"{found['seconds']:.0f} seconds."
    )
