"""Filters of runs: words that are looked for, and conditions such as ``lr<0.1``."""

from __future__ import annotations

import math
import operator
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.tasks.run_table import RunRow

_CONDITION = re.compile(r"([A-Za-z_][\w.]*)(<=|>=|!=|<|>|=)(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class RunFilter:
    """What runs have to fulfill to be listed; made by :meth:`of`.

    Attributes:
        words: all of them occur in the text of a run, in small letters.
        without: none of them does.
        conditions: field, comparison and value, all of them true.
        starred: whether only runs with a star are listed.
        tags: all of them are tags of the run.
    """

    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str, str], ...] = ()
    starred: bool = False
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, *, starred: bool = False, tags: tuple[str, ...] = ()) -> RunFilter:
        """Return the filter that a text asks for.

        Words are looked for in name, title, tags, note, components, status and id; a word after a
        ``-`` must not occur, and quotes keep words together. ``FIELD<NUMBER`` compares a setting,
        a figure of the end, ``steps`` or ``seconds``; a field is named by the end of its path
        (``lr``, ``optimizer.lr``). ``FIELD=WORD`` compares texts, ``tag=WORD`` a tag.

        Raises:
            InvalidInput: a condition compares with something that is not a number.
        """
        try:
            parts = shlex.split(text, posix=True)
        except ValueError:
            # A quote that is still open while one types.
            parts = text.replace('"', " ").replace("'", " ").split()
        words, without, conditions, wanted = [], [], [], list(tags)
        for part in parts:
            found = _CONDITION.fullmatch(part)
            if found is None and part.startswith("-") and len(part) > 1:
                without.append(part[1:].lower())
            elif found is None:
                words.append(part.lower())
            elif found[1] == "tag" and found[2] == "=":
                wanted.append(found[3])
            else:
                name, comparison, value = found.groups()
                if comparison not in ("=", "!=") and _number(value) is None:
                    raise InvalidInput(
                        f"{part!r} compares with {value!r}, which is not a number; write for "
                        f"example {name}{comparison}0.1.",
                        "filter",
                    )
                conditions.append((name, comparison, value))
        return cls(tuple(words), tuple(without), tuple(conditions), starred, tuple(wanted))

    def matches(self, row: RunRow) -> bool:
        """Return whether a run fulfills all of it."""
        text = row.text
        return (
            (row.record.starred or not self.starred)
            and all(word in text for word in self.words)
            and not any(word in text for word in self.without)
            and all(tag in row.record.tags for tag in self.tags)
            and all(_holds(row, *condition) for condition in self.conditions)
        )


def _holds(row: RunRow, name: str, comparison: str, value: str) -> bool:
    compare, wanted = _COMPARE[comparison], _number(value)
    # A field that a run lacks fulfills nothing.
    return any(_fulfills(found, wanted, value, compare) for found in row.values_of(name))


def _fulfills(
    found: object, wanted: float | None, text: str, compare: Callable[[Any, Any], bool]
) -> bool:
    if isinstance(found, int | float) and not isinstance(found, bool) and wanted is not None:
        return not math.isnan(found) and compare(float(found), wanted)
    if compare in (operator.eq, operator.ne):
        return compare(str(found).lower(), text.lower())
    return False


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
