"""Memory for what the operations of a rule compute, so that little is needed and touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optlab.optim.flat.listing import GRADIENT, STATE, THETA, Listing

Place = str | int
"""The name of what a rule is given, whose memory is overwritten, or the number of a scratch."""


@dataclass(frozen=True)
class Placing:
    """Where the results of a listing lie.

    Attributes:
        places: value of the listing → place.
        scratches: number of blocks that are needed beside what the rule is given.
        kept: entry of the state → the value that is copied to it after the operations.
    """

    places: Mapping[str | int, Place]
    scratches: int
    kept: Mapping[str, str | int]


def placed(listing: Listing, *, copies: bool) -> Placing:
    """Return places for what a listing computes.

    Each result lies where the state of the next step has it, if the old value is not needed any
    more; else where an operand was that is not needed any more.

    Args:
        listing: the operations.
        copies: whether ``theta`` and the gradient are copies, which can be overwritten. Without
            them, a new value of the parameters can be computed where they are.
    """
    end = len(listing.operations)
    last = _last_uses(listing, end)
    wanted = _wanted(listing, last, in_place=listing.move == "copy" and not copies)
    places: dict[str | int, Place] = {name: name for name in listing.given}
    free: list[Place] = []
    scratches = 0
    for number, operation in enumerate(listing.operations):
        over: list[Place] = [
            places[value]
            for value in dict.fromkeys(operation.operands)
            if isinstance(value, (str, int))
            and last[value] == number
            and (isinstance(places[value], int) or (copies and places[value] in (THETA, GRADIENT)))
        ]
        entry = wanted.get(operation.result)
        if entry is not None and last.get(entry, -1) <= number:
            places[operation.result] = entry
        elif over:
            places[operation.result] = over.pop(0)
        elif free:
            places[operation.result] = free.pop()
        else:
            places[operation.result] = scratches
            scratches += 1
        free += over
    kept = {name: value for name, value in listing.state.items() if places[value] != STATE + name}
    return Placing(places, scratches, kept)


def _last_uses(listing: Listing, end: int) -> dict[str | int, int]:
    """Return value → the number of the last operation that makes or reads it, or ``end``."""
    last: dict[str | int, int] = {}
    for number, operation in enumerate(listing.operations):
        for value in (*operation.operands, operation.result):
            if isinstance(value, (str, int)):
                last[value] = number
    for value in (*listing.state.values(), listing.after):
        last[value] = end
    return last


def _wanted(
    listing: Listing, last: dict[str | int, int], *, in_place: bool
) -> dict[str | int, str]:
    """Return value → where it should lie: a result, and what it is made of step by step.

    Args:
        in_place: whether the new parameters lie where the old ones do.
    """
    wanted: dict[str | int, str] = {value: STATE + name for name, value in listing.state.items()}
    if in_place:
        wanted.setdefault(listing.after, THETA)
    for number, operation in reversed(list(enumerate(listing.operations))):
        place = wanted.get(operation.result)
        first = operation.operands[0]
        if place is not None and isinstance(first, int) and last[first] == number:
            wanted.setdefault(first, place)
    return wanted
