"""What a claim came to: the results of its study and of its control, as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.store.records import StudyRecord
from optlab.studies.claims.claim import Claim, is_negative


@dataclass(frozen=True)
class ClaimOutcome:
    """The outcome of a claim.

    Attributes:
        study, control: the records of both, finished.
    """

    claim: Claim
    study: StudyRecord
    control: StudyRecord

    @property
    def verdict(self) -> str:
        """``supported``, ``contradicted`` or ``undecided``."""
        return str(self.study.result["verdict"])

    @property
    def sound(self) -> bool:
        """Whether the negative control came out negative."""
        return is_negative(self.control.result["verdict"])

    def document(self) -> dict[str, Any]:
        """Return the outcome in JSON's own types.

        ``effect`` and ``interval`` are those of the comparison that decides: the first one with the
        verdict of the claim.
        """
        result = self.study.result
        deciding = decisive(result["comparisons"], self.verdict)
        return {
            "claim": self.claim.id,
            "statement": self.claim.text.statement,
            "verdict": self.verdict,
            "effect": deciding["effect"],
            "interval": deciding["interval"],
            "margin": self.claim.study.decision.margin,
            "seeds": result["seeds"],
            "control": self.control.result["verdict"],
            "seconds": result["seconds"] + self.control.result["seconds"],
            "decides": result["statement"],
            "measure": result["measure"],
            "comparisons": result["comparisons"],
            "arms": {
                name: {key: arm[key] for key in ("mean", "interval", "censored", "diverged")}
                for name, arm in result["arms"].items()
            },
            "studies": {"study": self.study.id, "control": self.control.id},
            "first": self.claim.study.seeds.first,
            "versions": dict(self.study.versions),
            "date": self.study.ended[:10],
        }


def outcome(claim: Claim, study: StudyRecord, control: StudyRecord) -> ClaimOutcome:
    """Return the outcome of a claim whose study and control are finished."""
    return ClaimOutcome(claim, study, control)


def decisive(comparisons: Sequence[Mapping[str, Any]], verdict: str) -> Mapping[str, Any]:
    """Return the first comparison with the verdict of all together."""
    return next((one for one in comparisons if one["verdict"] == verdict), comparisons[0])
