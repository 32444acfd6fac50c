"""The diagnosis of a run: what is wrong with it now, the evidence, and what would help.

A rule is a file of this folder with a function ``examine(history) -> Finding | None``; it is
discovered by walking the folder. Rules read series and the experiment, never the engine, and return
None if what they need was not measured.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable

from optlab.studies.diagnosis.base import Finding, RunHistory

Rule = Callable[[RunHistory], Finding | None]


def modules() -> list[str]:
    """Return the dotted names of the rules' modules, which an installer has to include."""
    return [
        f"{__name__}.{name}"
        for name in sorted(module.name for module in pkgutil.iter_modules(__path__))
        if name != "base"
    ]


def diagnose(history: RunHistory) -> list[Finding]:
    """Return the problems of the run, the most severe first; empty if there are none."""
    findings = [finding for examine in _rules() if (finding := examine(history)) is not None]
    return sorted(findings, key=lambda finding: -finding.weight)


@functools.cache
def _rules() -> tuple[Rule, ...]:
    return tuple(importlib.import_module(name).examine for name in modules())
