"""The diagnosis of a run: what is wrong with it now, the evidence, and what would help.

A rule is a file of this folder with a function ``examine(history) -> Finding | None``; it is
discovered by walking the folder. Rules read series and the experiment, never the engine, and return
None if what they need was not measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from optlab.core import walk
from optlab.studies.diagnosis.base import Finding, RunHistory

Rule = Callable[[RunHistory], Finding | None]


def diagnose(history: RunHistory) -> list[Finding]:
    """Return the problems of the run, the most severe first; empty if there are none."""
    findings = [finding for examine in rules() if (finding := examine(history)) is not None]
    return sorted(findings, key=lambda finding: -finding.weight)


@functools.cache
def rules() -> tuple[Rule, ...]:
    """Return all rules; the first call imports them."""
    return tuple(module.examine for module in walk.load(__name__))
