"""The result of a study, as the store, programs and pages have it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.studies.comparison.choosing import TriedSetting
from optlab.studies.comparison.grid import Value
from optlab.studies.comparison.outcomes import Outcome
from optlab.studies.comparison.rule import Verdict
from optlab.studies.comparison.statistics import ArmSummary, Comparison


@dataclass(frozen=True)
class ArmResult:
    """What one arm came to.

    Attributes:
        runs: ids of the runs that decide, seed by seed. outcomes: one a run.
        summary: of the outcomes. diverged: how many runs diverged.
        setting: path → value of the tuned fields; that of most seeds, where each has its own. tried: all settings, where there was tuning.
        tuning_runs: ids of the runs that tuned.
    """

    runs: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    summary: ArmSummary
    diverged: int = 0
    setting: Mapping[str, Value] | None = None
    tried: tuple[TriedSetting, ...] = ()
    tuning_runs: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the arm in JSON's own types; numbers that are not finite become None."""
        summary = self.summary
        return {
            "runs": list(self.runs),
            "low": [finite(outcome.low) for outcome in self.outcomes],
            "high": [finite(outcome.high) for outcome in self.outcomes],
            "mean": finite(summary.mean),
            "interval": None if summary.interval is None else list(map(finite, summary.interval)),
            "median": finite(summary.median),
            "censored": summary.censored,
            "diverged": self.diverged,
            "setting": dict(self.setting or {}),
            "tried": [
                {
                    "setting": dict(one.setting),
                    "value": finite(one.value),
                    "chosen": one.chosen,
                    "seeds": list(one.seeds),
                }
                for one in self.tried
            ],
            "tuning_runs": list(self.tuning_runs),
        }


@dataclass(frozen=True)
class StudyResult:
    """What a study came to.

    Attributes:
        seeds: runs of each arm that decide. effort: settings tried for each arm.
        arms: by name. comparisons: in the order of the statement.
        seconds: time that the study took, interruptions left out.
    """

    question: str
    statement: str
    unit: str
    verdict: Verdict
    seeds: int
    effort: int
    arms: Mapping[str, ArmResult]
    comparisons: Sequence[Comparison]
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the result in JSON's own types; numbers that are not finite become None."""
        return {
            "question": self.question,
            "statement": self.statement,
            "measure": self.unit,
            "verdict": self.verdict,
            "seeds": self.seeds,
            "effort": self.effort,
            "arms": {name: arm.document() for name, arm in self.arms.items()},
            "comparisons": [comparison_document(one) for one in self.comparisons],
            "seconds": self.seconds,
        }


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison in JSON's own types; numbers that are not finite become None."""
    return {
        "arm": comparison.arm,
        "relation": comparison.relation,
        "against": comparison.against,
        "effect": finite(comparison.effect),
        "interval": list(map(finite, comparison.interval)),
        "level": finite(comparison.level),
        "p": finite(comparison.p),
        "p_adjusted": finite(comparison.p_adjusted),
        "verdict": comparison.verdict,
        "seeds_needed": comparison.seeds_needed,
        "method": comparison.method,
    }


def finite(value: float | None) -> float | None:
    """Return a number, or None where it is not finite."""
    return None if value is None or not math.isfinite(value) else float(value)
