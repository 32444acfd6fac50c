"""What a step does as loops, between which torch takes square roots.

A loop has the bits of torch in all operations but square roots: where torch has those from a
mathematical library, one in a hundred and fifty is not the nearest number. So torch takes them, of
values that one loop leaves in memory for the next.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from optlab.numerics.compiled.loop import Array, Loop, Number
from optlab.numerics.compiled.loop import Operand as Element
from optlab.optim.flat.listing import GRADIENT, STATE, THETA, Listing, Operand, Operation
from optlab.optim.flat.scalars import places

ROOT = "sqrt"


@dataclass(frozen=True)
class Stages:
    """The loops of a step.

    Attributes:
        loops: each is executed on all values before the next; the arrays are those of all loops.
        roots: after each loop, the arrays of which torch takes square roots in place.
        names: array → its name: ``theta``, ``gradient``, entries of the state with ``state.`` before
            them; None for scratch arrays.
    """

    loops: tuple[Loop, ...]
    roots: tuple[tuple[int, ...], ...]
    names: tuple[str | None, ...]


@functools.cache
def stages(listing: Listing) -> Stages:
    """Return what a step does as loops, whose numbers are at their ``places``."""
    return _Divider(listing).divided()


class _Divider:
    def __init__(self, listing: Listing) -> None:
        self._places = places(listing)
        self._names: list[str | None] = [THETA, GRADIENT, *(STATE + name for name in listing.state)]
        self._operations = list(listing.operations)
        self._after = listing.after
        if listing.move != "copy":
            self._after = 1 + max((one.result for one in self._operations), default=-1)
            self._operations.append(Operation(listing.move, (THETA, listing.after), self._after))
        self._state = listing.state
        self._last = self._earliest()
        self._levels = self._latest()
        self._scratches: dict[int, int] = {}
        self._roots: dict[int, int] = {}

    def _earliest(self) -> int:
        """Return how many times roots have to be taken before the step is complete."""
        levels: dict[Operand, int] = {}
        for one in self._operations:
            level = max((levels.get(operand, 0) for operand in one.operands), default=0)
            levels[one.result] = level + (one.name == ROOT)
        return max(levels.values(), default=0)

    def _latest(self) -> dict[Operand, int]:
        """Return value → the loop that computes it: as late as its users allow.

        What is left in memory between two loops is then little.
        """
        levels: dict[Operand, int] = {}
        for one in reversed(self._operations):
            level = levels.setdefault(one.result, self._last)
            for operand in one.operands:
                if isinstance(operand, int):
                    before = level - (one.name == ROOT)
                    levels[operand] = min(levels.get(operand, self._last), before)
        return levels

    def divided(self) -> Stages:
        """Return the loops."""
        stored = {STATE + name: value for name, value in self._state.items()}
        stores: list[list[tuple[int, Operand]]] = [[] for _ in range(self._last + 1)]
        read_last = self._last_reads()
        kept: dict[Operand, tuple[int, int]] = {}  # value → its array, and the loop that stores it
        for name, value in stored.items():
            level = self._levels[value] if isinstance(value, int) else self._last
            if read_last.get(name, 0) > level or self._is_root(value):
                level = self._last
            elif isinstance(value, int):
                kept[value] = self._names.index(name), level
            stores[level].append((self._names.index(name), value))
        stores[self._last].append((self._names.index(THETA), self._after))
        roots: list[list[int]] = [[] for _ in range(self._last + 1)]
        for one in self._operations:
            if one.name == ROOT:
                level = self._levels[one.result] - 1
                array = self._scratch()
                self._roots[one.result] = array
                stores[level].append((array, one.operands[0]))
                roots[level].append(array)
        for value, level in self._needed_later(stores).items():
            if value not in kept or kept[value][1] != level:
                kept[value] = self._scratch(), level
                stores[level].append((kept[value][0], value))
        loops = [self._loop(level, stores[level], kept) for level in range(self._last + 1)]
        return Stages(tuple(loops), tuple(tuple(one) for one in roots), tuple(self._names))

    def _scratch(self) -> int:
        self._names.append(None)
        return len(self._names) - 1

    def _is_root(self, value: Operand) -> bool:
        return any(one.result == value and one.name == ROOT for one in self._operations)

    def _at(self, level: int) -> list[Operation]:
        """Return the operations of a loop."""
        return [
            one
            for one in self._operations
            if one.name != ROOT and self._levels[one.result] == level
        ]

    def _last_reads(self) -> dict[str, int]:
        """Return what a step is given → the last loop that reads it."""
        last: dict[str, int] = {}
        for one in self._operations:
            level = self._levels[one.result] - (one.name == ROOT)
            for operand in one.operands:
                if isinstance(operand, str):
                    last[operand] = max(last.get(operand, 0), level)
        for value in self._state.values():
            if isinstance(value, str):
                last[value] = self._last
        return last

    def _needed_later(self, stores: list[list[tuple[int, Operand]]]) -> dict[int, int]:
        """Return value → the loop that computes it, of those that a later loop reads."""
        later: dict[int, int] = {}
        for level in range(self._last + 1):
            read = [operand for one in self._at(level) for operand in one.operands]
            read += [value for _, value in stores[level]]
            for value in read:
                if not isinstance(value, int) or self._is_root(value):
                    continue
                if self._levels[value] < level:
                    later[value] = self._levels[value]
        return later

    def _loop(
        self,
        level: int,
        stores: list[tuple[int, Operand]],
        kept: dict[Operand, tuple[int, int]],
    ) -> Loop:
        operations = self._at(level)
        results = {one.result: number for number, one in enumerate(operations)}

        def element(operand: Operand) -> Element:
            if isinstance(operand, str):
                return Array(self._names.index(operand))
            if not isinstance(operand, int):
                return Number(self._places[operand])
            if operand in results:
                return results[operand]
            return Array(self._roots[operand] if operand in self._roots else kept[operand][0])

        return Loop(
            len(self._names),
            tuple((one.name, tuple(map(element, one.operands))) for one in operations),
            tuple((array, element(value)) for array, value in stores),
        )
