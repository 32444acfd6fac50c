"""Dates and times of day as numbers of days.

``2024-03-01`` and ``01.03.2024`` have one meaning. ``03/04/2024`` has two, so its order is stated
or, where a day after the 12th tells it, suggested; it is never guessed while a table is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

Order = Literal["", "dmy", "mdy"]
"""Which of the first two numbers of a date is the day; "" where the date itself tells."""

_DATE = re.compile(
    r"(?:(?P<year>\d{4})(?P<sign>[-/.])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})"
    r"|(?P<first>\d{1,2})(?P<between>[-/.])(?P<second>\d{1,2})(?P=between)(?P<last>\d{4}))"
    r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<seconds>\d{2}(?:[.,]\d{1,9})?))?"
    r"\s?(?P<zone>Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_SECONDS_A_DAY = 86_400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def days(cell: str, order: Order = "") -> float:
    """Return the days since 1970-01-01, with the time of day as a fraction.

    A time without a zone is taken as it stands; one with a zone is converted to UTC.

    Args:
        cell: such as ``2024-03-01``, ``2024-03-01 12:30:00``, ``01.03.2024`` or, with an order,
            ``03/04/2024``.
        order: of day and month where the year is last; "": day first after dots.

    Raises:
        ValueError: the cell is no date, or may be one of two and no order is given.
    """
    match = _DATE.fullmatch(cell)
    if match is None:
        raise ValueError(cell)
    part = match.groupdict()
    if part["year"]:
        year, month, day = int(part["year"]), int(part["month"]), int(part["day"])
    else:
        order = order or ("dmy" if part["between"] == "." else "")
        if not order:
            raise ValueError(cell)
        year, first, second = int(part["last"]), int(part["first"]), int(part["second"])
        day, month = (first, second) if order == "dmy" else (second, first)
    seconds = float((part["seconds"] or "0").replace(",", "."))
    if seconds >= 60.0:
        raise ValueError(cell)
    moment = datetime(
        year, month, day, int(part["hour"] or 0), int(part["minute"] or 0), tzinfo=UTC
    )
    zone = part["zone"]
    if zone and zone != "Z":
        digits = zone[1:].replace(":", "")
        if int(digits[2:]) >= 60:
            raise ValueError(cell)
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * 60.0
        seconds -= offset if zone[0] == "+" else -offset
    return ((moment - _EPOCH).total_seconds() + seconds) / _SECONDS_A_DAY


def likely_order(cells: Iterable[str]) -> Order | None:
    """Return the order with which all cells are dates; None where they are not, or there are none.

    Where no cell distinguishes day and month, the day is taken to be first.
    """
    orders: list[Order] = ["", "dmy", "mdy"]
    seen = False
    for cell in cells:
        seen = True
        orders = [order for order in orders if _is_date(cell, order)]
        if not orders:
            return None
    return orders[0] if seen else None


def is_ambiguous(cells: Iterable[str]) -> bool:
    """Return whether all cells are dates both with the day and with the month first."""
    some = list(cells)
    return likely_order(some) == "dmy" and all(_is_date(cell, "mdy") for cell in some)


def _is_date(cell: str, order: Order) -> bool:
    try:
        days(cell, order)
    except ValueError:
        return False
    return True
