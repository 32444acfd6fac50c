"""What the columns of a table are for.

A role says whether a column is an input and, if it is, how its cells become numbers. Roles are
stated, as ``NAME=ROLE``; a column without one holds numbers. Nothing is guessed while a table is
read: a suggestion of :mod:`optlab.outside.datafiles.suggestions` counts once it stands in the
experiment.

======== ===========================================================================================
number   a number as it stands
category one input of 0 or 1 for each of its words (one-hot)
ordinal  the place of the word in a stated order: ``size=ordinal:S<M<L``
boolean  1 for true, yes and on, 0 for false, no and off
date     days since 1970-01-01; ``date:dmy`` and ``date:mdy`` say which number is the day
calendar a date, and its place in the year and in the week as points on a circle
code     the number of the word among those of the training rows, for an embedding in a model of
         the user's own; 0 for every other word and where there is none
text     one input of 0 or 1 for each of the most frequent words in its cells
id       tells the rows apart, and is no input
ignore   is no input
======== ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.outside.datafiles.dates import Order, days
from optlab.outside.datafiles.dialect import Dialect, is_number, with_point

RoleName = Literal[
    "number", "category", "ordinal", "boolean", "date", "calendar", "code", "text", "id", "ignore"
]
ROLES: tuple[RoleName, ...] = get_args(RoleName)
NO_INPUTS: frozenset[RoleName] = frozenset({"id", "ignore"})
CODED: frozenset[RoleName] = frozenset({"category", "code", "text"})
"""Roles whose cells are kept as numbers of distinct cells until the training rows are known."""

TRUE = frozenset({"true", "yes", "on", "t", "y", "1"})
FALSE = frozenset({"false", "no", "off", "f", "n", "0"})


@dataclass(frozen=True)
class Role:
    """What one column is for.

    Attributes:
        name: of the role. argument: what follows its colon, "" for none.
    """

    name: RoleName = "number"
    argument: str = ""

    @property
    def order(self) -> tuple[str, ...]:
        """The words of an ordinal column, from the smallest."""
        return tuple(word.strip() for word in self.argument.split("<"))

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.argument else self.name


NUMBER = Role()


def entry(column: str, role: Role) -> str:
    """Return the text that states the role of a column."""
    return f"{column}={role}"


def parsed(text: str) -> tuple[str, Role]:
    """Return the column and the role that an entry of ``dataset.columns`` states.

    Raises:
        InvalidInput: it states none.
    """
    # A name may hold any sign: the last one that is followed by a role divides.
    pieces = text.split("=")
    for number in range(len(pieces) - 1, 0, -1):
        name, _, argument = "=".join(pieces[number:]).partition(":")
        if name.strip() in ROLES:
            role = Role(cast(RoleName, name.strip()), argument.strip())
            _check_argument(text, role)
            return "=".join(pieces[:number]).strip(), role
    wrong = pieces[-1].partition(":")[0].strip() if len(pieces) > 1 else ""
    hint = did_you_mean(wrong, ROLES) if wrong else ""
    raise InvalidInput(
        f"dataset.columns holds {shown(text)}{hint}, but each entry must be NAME=ROLE with one of "
        f"the roles {', '.join(ROLES)}.",
        "dataset.columns",
    )


def _check_argument(text: str, role: Role) -> None:
    problem = ""
    if role.name == "ordinal":
        order = role.order
        if len(order) < 2 or not all(order) or len(set(order)) < len(order):
            problem = "ordinal needs two or more different words in order, such as ordinal:S<M<L"
    elif role.name in ("date", "calendar"):
        if role.argument not in ("", "dmy", "mdy"):
            problem = f"{role.name} takes dmy (day first) or mdy (month first)"
    elif role.argument:
        problem = f"{role.name} takes nothing after a colon"
    if problem:
        raise InvalidInput(f"dataset.columns holds {shown(text)}: {problem}.", "dataset.columns")


def assigned(path: Path, dialect: Dialect, names: Sequence[str]) -> tuple[int, dict[int, Role]]:
    """Return the number of the target column, and the role of each input column by its number.

    Raises:
        InvalidInput: a column is not there or stands twice, or no input is left.
    """
    stated: dict[int, Role] = {}
    for text in dialect.columns:
        name, role = parsed(text)
        number = column_number(path, names, name, "columns")
        if number in stated:
            raise InvalidInput(
                f"{path}: dataset.columns states two roles of column {shown(names[number])}; "
                "remove one.",
                "dataset.columns",
            )
        stated[number] = role
    left_out = {column_number(path, names, name, "ignore") for name in dialect.ignore}
    left_out |= {number for number, role in stated.items() if role.name in NO_INPUTS}
    usable = [number for number in range(len(names)) if number not in left_out]
    target = (
        column_number(path, names, dialect.target, "target")
        if dialect.target
        else max(usable, default=-1)
    )
    inputs = {number: stated.get(number, NUMBER) for number in usable if number != target}
    if target not in usable or not inputs:
        field = "ignore" if dialect.ignore else "columns"
        raise InvalidInput(
            f"{path}: dataset.{field} leaves no input beside the target; ignore fewer columns.",
            f"dataset.{field}",
        )
    return target, inputs


def column_number(path: Path, names: Sequence[str], name: str, field: str) -> int:
    """Return the number of a column from 0, which is given by its name or by its number from 1.

    Raises:
        InvalidInput: there is no such column.
    """
    if name in names:
        return names.index(name)
    if name.isdecimal() and 1 <= int(name) <= len(names):
        return int(name) - 1
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    raise InvalidInput(
        f"{path} has no column {shown(name)}{did_you_mean(name, names)}; its columns are: {listed}.",
        f"dataset.{field}",
    )


def value_of(cell: str, role: Role, decimal: str) -> float:
    """Return the number of a cell that is not missing, for every role that is not :data:`CODED`.

    Raises:
        ValueError: the cell has no number in this role.
    """
    if role.name == "number":
        return float(with_point(cell, decimal))
    if role.name == "ordinal":
        return float(role.order.index(cell))
    if role.name == "boolean":
        word = cell.lower()
        if is_number(word, decimal):
            word = f"{float(with_point(word, decimal)):g}"
        if word not in TRUE | FALSE:
            raise ValueError(cell)
        return float(word in TRUE)
    return days(cell, cast(Order, role.argument))


def complaint(cell: str, role: Role) -> str:
    """Return why a cell has no number in a role, to follow the place of the cell."""
    if role.name == "ordinal":
        return f"{shown(cell)} is not in the stated order {'<'.join(role.order)}"
    if role.name == "boolean":
        return f"{shown(cell)} is neither true (yes, on, 1) nor false (no, off, 0)"
    return (
        f"{shown(cell)} is not a date such as 2024-03-01 or 01.03.2024; where it is one, say "
        "which number is the day (date:dmy, date:mdy)"
        if not role.argument
        else f"{shown(cell)} is not a date with the {_FIRST[role.argument]} first"
    )


_FIRST = {"dmy": "day", "mdy": "month"}
