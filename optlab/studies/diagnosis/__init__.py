"""The doctor's note: in words, from what was measured, what holds a run back now, with the evidence
and a remedy.

A rule is a file of this folder with a function ``examine(history) -> Finding | None``; it is found by
walking the folder. Rules read series and the experiment, never the engine, and say nothing where
what they need was not measured.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable

from optlab.studies.diagnosis.base import Finding, RunHistory

Rule = Callable[[RunHistory], Finding | None]


def modules() -> list[str]:
    """Dotted names of the rules' modules (what an installer has to include)."""
    return [
        f"{__name__}.{name}"
        for name in sorted(module.name for module in pkgutil.iter_modules(__path__))
        if name != "base"
    ]


def diagnose(history: RunHistory) -> list[Finding]:
    """What holds the run back, the gravest first; empty where nothing was found."""
    found = [finding for examine in _rules() if (finding := examine(history)) is not None]
    return sorted(found, key=lambda finding: -finding.weight)


@functools.cache
def _rules() -> tuple[Rule, ...]:
    return tuple(importlib.import_module(name).examine for name in modules())
