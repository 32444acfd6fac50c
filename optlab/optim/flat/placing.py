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
        places: memory of the listing → place.
        scratches: number of blocks that are needed beside what the rule is given.
        kept: entry of the state → the memory that is copied to it after the operations.
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
    entries = {memory: STATE + name for name, memory in listing.state.items()}
    if listing.move == "copy" and not copies:
        entries.setdefault(listing.after, THETA)
    given = [memory for memory in listing.memories if isinstance(memory, str)]
    places: dict[str | int, Place] = {memory: memory for memory in given}
    free: list[Place] = []
    scratches = 0
    for number, operation in enumerate(listing.operations):
        over: list[Place] = [
            places[memory]
            for memory in dict.fromkeys(operation.operands)
            if isinstance(memory, (str, int))
            and last[memory] == number
            and memory != operation.result
            and (isinstance(places[memory], int) or (copies and memory in (THETA, GRADIENT)))
        ]
        if not operation.in_place:
            entry = entries.get(operation.result)
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
    kept = {
        name: memory for name, memory in listing.state.items() if places[memory] != STATE + name
    }
    return Placing(places, scratches, kept)


def _last_uses(listing: Listing, end: int) -> dict[str | int, int]:
    """Return memory → the number of the last operation that reads or writes it, or ``end``."""
    last: dict[str | int, int] = {}
    for number, operation in enumerate(listing.operations):
        for memory in (*operation.operands, operation.result):
            if isinstance(memory, (str, int)):
                last[memory] = number
    for memory in (*listing.state.values(), listing.after):
        last[memory] = end
    return last
