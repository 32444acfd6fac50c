"""The doctor's note: in words, from what was measured, what holds a run back now, with the evidence
and a remedy.

A rule is a file of this folder with a function ``look(history) -> Finding | None``; it is found by
walking the folder. Rules read series and the experiment, never the engine, and say nothing where
what they need was not measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from optlab.core import walk
from optlab.studies.diagnosis.base import Finding, RunHistory

Rule = Callable[[RunHistory], Finding | None]


def diagnose(history: RunHistory) -> list[Finding]:
    """What holds the run back, the gravest first; empty where nothing was found."""
    found = [finding for look in _rules() if (finding := look(history)) is not None]
    return sorted(found, key=lambda finding: -finding.weight)


@functools.cache
def _rules() -> tuple[Rule, ...]:
    return tuple(module.look for module in walk.load(__name__))
