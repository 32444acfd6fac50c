"""How a study decides: which effect, which margin, at which level, and when one may look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from optlab.core.errors import InvalidInput

Relation = Literal["<", ">", "~", "!=", "rises", "falls", "slope"]
EffectKind = Literal["difference", "ratio", "log-ratio", "slope"]
Verdict = Literal["supported", "contradicted", "undecided"]
Method = Literal["auto", "t", "bootstrap"]


@dataclass(frozen=True)
class Rule:
    """How comparisons are decided, fixed before anything is measured.

    Attributes:
        effect: what is compared. "ratio" compares geometric means; "log-ratio" is its natural
            logarithm; "slope" is for a trend over arms.
        margin: smallest effect that matters, in the units of the effect: at least 0, of a ratio at
            least 1. 0, and 1 of a ratio, mean any effect.
        level: confidence level that is kept over all comparisons and all looks together.
        paired: whether equal seeds of two arms belong together.
        method: interval for known values: "t", or "bootstrap" (bias-corrected and accelerated).
            "auto" is "t". Censored values are always compared by ranks.
        looks: numbers of seeds at which the decision may be looked at; () is once, at the end.

    Raises:
        InvalidInput: an attribute has a value that is not allowed.
    """

    effect: EffectKind
    margin: float
    level: float = 0.95
    paired: bool = True
    method: Method = "auto"
    looks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("effect", EffectKind), ("method", Method)):
            if getattr(self, name) not in get_args(kind):
                raise InvalidInput(
                    f"decide.{name} is one of {', '.join(get_args(kind))}, "
                    f"not {getattr(self, name)!r}",
                    f"decide.{name}",
                )
        least = 1.0 if self.effect == "ratio" else 0.0
        if not least <= self.margin < math.inf:
            raise InvalidInput(
                f"decide.margin of a {self.effect} is a number from {least:g}, not {self.margin:g}",
                "decide.margin",
            )
        if not 0.0 < self.level < 1.0:
            raise InvalidInput(
                f"decide.level lies between 0 and 1, such as 0.95, not {self.level:g}",
                "decide.level",
            )
        if any(a >= b for a, b in zip((0, *self.looks), self.looks, strict=False)):
            raise InvalidInput(
                "decide.looks are numbers of seeds from 1 upwards, each larger than the one "
                f"before, not {', '.join(map(str, self.looks))}",
                "decide.looks",
            )

    @property
    def logarithmic(self) -> bool:
        """Whether effects are differences of logarithms."""
        return self.effect in ("ratio", "log-ratio")

    @property
    def margins(self) -> tuple[float, float]:
        """The two effects at which the margin begins, lower one first."""
        return (1.0 / self.margin if self.effect == "ratio" else -self.margin), self.margin

    def look(self, seeds: int) -> int:
        """Return the number of looks that share the level, when one looks at so many seeds.

        Each look gets an equal share of ``1 - level`` (Bonferroni). That holds for every method,
        for censored values and for any dependence between the looks, and few looks cost little:
        Pocock's boundary, computed for normal values, has 0.022 a look for three at 0.05, an equal
        share 0.0167.

        Raises:
            InvalidInput: the rule does not allow a look at this number of seeds.
        """
        if self.looks and seeds not in self.looks:
            raise InvalidInput(
                f"the decision may be looked at with {_list(self.looks)} seeds, not with {seeds}: "
                "a look at another number would not keep the level; go on to the next one",
                "decide.looks",
            )
        return max(1, len(self.looks))


def _list(numbers: tuple[int, ...]) -> str:
    words = [str(number) for number in numbers]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
