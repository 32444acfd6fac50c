"""Spacing: which snapshots of a run are kept, evenly spaced over its steps, within a budget.

The snapshot whose removal leaves the smallest gap goes first, so that the gaps of a growing run
stay within a factor of two or three of each other without any plan of how long it will be. Any step
is then reached from the snapshot before it by taking at most one gap of steps again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from optlab.training.snapshot import FIXED_REASONS

BUDGET = 64 << 20
"""Bytes of snapshots that a session keeps by default; the runs of a population share them."""
MAX_KEPT = 2048
"""Snapshots that are kept of a run at most, however small they are: each is a file."""
NEWEST = 2
"""Newest snapshots that are always kept: a run is resumed from them."""

One = TypeVar("One")


def outdated(
    kept: Sequence[One],
    facts: Callable[[One], tuple[int, int, str]],
    budget: int = BUDGET,
    most: int = MAX_KEPT,
) -> list[One]:
    """Return those of the snapshots of one run that are to be removed.

    The first and the newest :data:`NEWEST` always stay. Those at a change of the run and the ones
    that the user asked for (:data:`optlab.training.snapshot.FIXED_REASONS`) stay while there are
    others.

    Args:
        kept: the snapshots by step.
        facts: snapshot → its step, its bytes and the reason why it was taken.
        budget: bytes of all together. most: how many there may be.
    """
    about = [facts(one) for one in kept]
    total = sum(size for _, size, _ in about)
    left = list(range(len(kept)))
    removed: list[int] = []
    for fixed in (False, True):
        while (total > budget or len(left) > most) and len(left) > NEWEST + 1:
            candidates = [
                place
                for place in range(1, len(left) - NEWEST)
                if fixed or about[left[place]][2] not in FIXED_REASONS
            ]
            if not candidates:
                break
            # Of several equal gaps the oldest, so that old and new parts are equally dense.
            place = min(candidates, key=lambda at: about[left[at + 1]][0] - about[left[at - 1]][0])
            total -= about[left[place]][1]
            removed.append(left.pop(place))
    return [kept[index] for index in sorted(removed)]
