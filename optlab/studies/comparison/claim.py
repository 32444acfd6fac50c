"""Claims: what the statement of a study says of its arms."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown

PairRelation = Literal["<", ">", "~", "!="]
TrendRelation = Literal["rises", "falls", "slope"]

_SLOPE = re.compile(r"slope\s*~\s*(?P<number>\S+)")


@dataclass(frozen=True)
class PairClaim:
    """``arm`` stands in ``relation`` to ``against``."""

    arm: str
    relation: PairRelation
    against: str


@dataclass(frozen=True)
class TrendClaim:
    """The measure over the arms, which differ in one number.

    Attributes:
        expected: the slope that is claimed, with the relation ``slope``.
    """

    relation: TrendRelation
    expected: float = 0.0


Claim = tuple[PairClaim, ...] | TrendClaim


def parse(text: str, arms: Sequence[str]) -> Claim:
    """Return what a statement claims.

    Args:
        text: the statement; "" for a difference between the arms of every pair.
        arms: names of the arms.

    Raises:
        InvalidInput: the text is no statement, or names an arm that does not exist.
    """
    words = text.strip()
    if words in ("rises", "falls"):
        return TrendClaim("rises" if words == "rises" else "falls")
    slope = _SLOPE.fullmatch(words)
    if slope is not None:
        return TrendClaim("slope", _number(slope["number"]))
    if not words:
        return tuple(PairClaim(a, "!=", b) for a, b in itertools.combinations(arms, 2))
    return tuple(_pair(part.strip(), arms) for part in words.split(","))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(
            f"decide.statement claims a slope of {shown(text)}, but it must be a number.",
            "decide.statement",
        )
    return value


def _pair(text: str, arms: Sequence[str]) -> PairClaim:
    for relation in get_args(PairRelation):
        left, found, right = text.partition(relation)
        if found:
            return PairClaim(_arm(left.strip(), arms), relation, _arm(right.strip(), arms, left))
    raise InvalidInput(
        f"decide.statement has {shown(text)}, but it must be a < b, a > b, a ~ b, a != b, rises, "
        "falls, or slope ~ NUMBER.",
        "decide.statement",
    )


def _arm(name: str, arms: Sequence[str], other: str = "") -> str:
    if name not in arms:
        raise InvalidInput(
            f"decide.statement names {shown(name)}, which is no arm{did_you_mean(name, arms)}; "
            f"arms are: {', '.join(arms)}.",
            "decide.statement",
        )
    if name == other.strip():
        raise InvalidInput(
            f"decide.statement compares {shown(name)} with itself; name two arms.",
            "decide.statement",
        )
    return name
