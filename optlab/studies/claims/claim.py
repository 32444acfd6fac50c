"""A claim, as its file has it."""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.fields import FieldSet, text
from optlab.studies.comparison.rule import Verdict
from optlab.studies.comparison.study import Study

LONGEST = 4000
"""Characters of a text of a claim."""


class ClaimText(FieldSet):
    """What people read of a claim: every text is needed."""

    id: str = text("", "Id", help="K and a number for the notes, P for what came after them.")
    statement: str = text("", "Statement", longest=LONGEST, help="What is claimed, one sentence.")
    chapter: str = text(
        "", "Chapter", help="Section of the chapter that has it, such as 8.1.3, or a paper."
    )
    notes: str = text("", "Notes", longest=LONGEST, help="The words of the notes, or of the paper.")
    protocol: str = text(
        "", "Protocol", longest=LONGEST, help="What is done, and why it tests the statement."
    )
    margin: str = text(
        "", "Margin", longest=LONGEST, help="Why the smallest effect that matters is this one."
    )
    negative: str = text(
        "",
        "Negative control",
        longest=LONGEST,
        help="What the control changes, and why the same statement must then not come out.",
    )
    next: str = text("", "Next", longest=LONGEST, help="What to try next.")


@dataclass(frozen=True)
class Claim:
    """A validated claim.

    Attributes:
        text: what people read. study: decides the statement. control: decides the same statement
            where it must not come out. quick: whether both take less than about a minute on two
            cores. name: of its file, without suffix.
    """

    text: ClaimText
    study: Study
    control: Study
    quick: bool
    name: str = ""

    @property
    def id(self) -> str:
        """``K9``, ``P1``, …."""
        return self.text.id

    def with_seeds(self, count: int | None = None, first: int | None = None) -> Claim:
        """Return a copy whose two studies have another number of seeds, or another master seed.

        Raises:
            InvalidInput: a number is not allowed.
        """
        return Claim(
            self.text,
            self.study.with_seeds(count, first),
            self.control.with_seeds(count, first),
            self.quick,
            self.name,
        )


def is_negative(verdict: Verdict) -> bool:
    """Return whether a control came out as it must: its statement is not supported."""
    return verdict != "supported"
