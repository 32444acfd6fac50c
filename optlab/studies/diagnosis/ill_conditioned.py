"""Ill-conditioning (8.10): the curvature along the gradient makes steps of this length go uphill."""

from __future__ import annotations

from optlab.studies.diagnosis.base import MIN_READINGS, Finding, RunHistory, available, short

MIN_UPHILL_SHARE = 0.3
"""Share of uphill readings from which the rule speaks."""


def examine(history: RunHistory) -> Finding | None:
    """Return whether steps go uphill by their second-order estimate (needs ``conditioning``)."""
    trouble, ghg, gg = (history.values(f"conditioning.{name}") for name in ("trouble", "ghg", "gg"))
    if len(trouble) < MIN_READINGS:
        return None
    share = float(trouble[-20:].mean())
    if share < MIN_UPHILL_SHARE:
        return None
    rate = history.rate or 0.0
    first, second = rate * float(gg[-1]), 0.5 * rate**2 * float(ghg[-1])
    return Finding(
        "ill_conditioned",
        "The Hessian is ill-conditioned along the gradient: steps of this length go uphill by the second-order estimate (8.10).",
        f"In {share:.0%} of the last readings ½ε²gᵀHg exceeds εgᵀg; in the last one {short(second)} against {short(first)}.",
        0.8 * share + 0.1,
        available(history.slower(2.0)),
    )
