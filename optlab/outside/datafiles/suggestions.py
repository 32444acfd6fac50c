"""Roles for the columns of a table that nobody has stated one for, from its first rows.

A suggestion is shown and written into the experiment, where it can be changed; the reader itself
never guesses. Columns of numbers need no role. A column of numbers with a few other cells in it is
left a number, so that reading it names the first of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from optlab.core.fields import shown
from optlab.outside.datafiles.dates import is_ambiguous, likely_order
from optlab.outside.datafiles.dialect import is_number, is_thousands
from optlab.outside.datafiles.roles import FALSE, TRUE, Role

MIN_NUMBERS = 0.8
"""Share of numbers from which on a column is one of numbers, with errors in it."""
MIN_WORDS_A_TEXT = 3.0
"""Words a cell, on average, from which on a column of different cells is text."""
MIN_DIFFERENT = 0.9
"""Share of different cells from which on a column tells the rows apart."""
MIN_CELLS = 10
"""Cells with a value without which nothing tells the rows apart."""


@dataclass(frozen=True)
class Suggestion:
    """A role for a column, and a sentence about it where it should be looked at; "" where not."""

    role: Role
    note: str = ""


def suggested(
    name: str, cells: Sequence[str], decimal: str, missing: frozenset[str]
) -> Suggestion | None:
    """Return a role for a column; None for one of numbers.

    Args:
        name: of the column. cells: those of the first rows. decimal: the sign.
        missing: cells that stand for a missing value, in lower case.
    """
    present = [cell for cell in cells if cell.lower() not in missing]
    if not present:
        return None
    numbers = sum(is_number(cell, decimal) for cell in present)
    if numbers == len(present) and not any(_is_code(cell) for cell in present):
        return None
    for rule in (_boolean, _date):
        suggestion = rule(name, present)
        if suggestion is not None:
            return suggestion
    likely = sum(is_number(cell, decimal) or is_thousands(cell) for cell in present)
    if len(present) > numbers and likely >= MIN_NUMBERS * len(present):
        return None
    return _words(name, present)


def suggestions(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    decimal: str,
    missing: frozenset[str],
    wanted: Callable[[int], bool],
) -> Iterator[tuple[int, Suggestion]]:
    """Yield number and suggestion of each column that is ``wanted`` and not one of numbers."""
    for number, name in enumerate(names):
        if wanted(number):
            cells = [row[number] for row in rows]
            suggestion = suggested(name, cells, decimal, missing)
            if suggestion is not None:
                yield number, suggestion


def _is_code(cell: str) -> bool:
    """Return whether a number is written as a code is: with a zero that counts nothing."""
    return len(cell) > 1 and cell.startswith("0") and cell.isdigit()


def _boolean(name: str, present: Sequence[str]) -> Suggestion | None:
    words = {cell.lower() for cell in present}
    both = words & TRUE and words & FALSE
    return Suggestion(Role("boolean")) if both and words <= TRUE | FALSE else None


def _date(name: str, present: Sequence[str]) -> Suggestion | None:
    order = likely_order(present)
    if order is None:
        return None
    note = ""
    if is_ambiguous(present):
        note = (
            f"The dates of column {shown(name)} ({shown(present[0])}) may begin with the day or "
            "with the month; they are read with the day first (date:dmy). Where that is wrong, "
            "make it date:mdy."
        )
    return Suggestion(Role("date", order), note)


def _words(name: str, present: Sequence[str]) -> Suggestion:
    different = len(set(present))
    if len(present) >= MIN_CELLS and different > MIN_DIFFERENT * len(present):
        if sum(len(cell.split()) for cell in present) >= MIN_WORDS_A_TEXT * len(present):
            return Suggestion(Role("text"))
        return Suggestion(
            Role("id"),
            f"Column {shown(name)} has {different:,} different words in the first "
            f"{len(present):,} rows, so it tells the rows apart and is left out (role id).",
        )
    average = sum(len(cell.split()) for cell in present) / len(present)
    if average >= MIN_WORDS_A_TEXT and different > len(present) / 2:
        return Suggestion(Role("text"))
    return Suggestion(Role("category"))
