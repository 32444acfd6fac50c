"""A table of customers as such files come: twenty columns, most of them no numbers.

Semicolons and decimal commas, as a spreadsheet of half of Europe saves it; quoted line breaks and
doubled quotes; dates in two forms; yes and no; an id; codes with leading zeros; and missing values
under several names.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np

COLUMNS = (
    "customer_id",
    "signup_date",
    "last_order",
    "city",
    "postcode",
    "plan",
    "newsletter",
    "size",
    "age",
    "income",
    "orders",
    "returns",
    "basket",
    "discount",
    "visits",
    "minutes",
    "rating",
    "channel",
    "comment",
    "churn",
)
CITIES = ("Köln", "Genève", "Málaga", "Łódź", "Bonn")
LATIN_CITIES = ("Köln", "Genève", "Málaga", "Århus", "Bonn")
COMMENTS = (
    'said "too expensive" and left',
    "very happy; will order again",
    "delivery late,\nparcel damaged",
    "asked for the invoice twice",
)
ROLES = (
    "customer_id=id",
    "signup_date=date",
    "last_order=date",
    "city=category",
    "postcode=category",
    "plan=category",
    "newsletter=boolean",
    "size=category",
    "channel=category",
    "comment=text",
)
"""What is suggested for the columns that are not numbers."""


def rows_of_customers(n: int = 240, cities: tuple[str, ...] = CITIES) -> list[list[str]]:
    """Return the cells of ``n`` customers; about one cell of fifteen is missing."""
    rng = np.random.default_rng(7)

    def number(value: float, digits: int = 2) -> str:
        return f"{value:.{digits}f}".replace(".", ",")

    def maybe(cell: str) -> str:
        return str(rng.choice(["", "NA", "n/a", "-"])) if rng.random() < 1 / 15 else cell

    rows = []
    for customer in range(n):
        signup = date(2019, 1, 1) + timedelta(days=int(rng.integers(0, 1500)))
        plan = str(rng.choice(["basic", "plus", "pro"], p=[0.6, 0.3, 0.1]))
        rating, returns = rng.integers(1, 6), rng.poisson(1.5)
        last = signup + timedelta(days=int(rng.integers(1, 400)))
        comment = f"{rng.choice(COMMENTS)} ({customer})"
        leaves = 1.2 * (plan == "basic") - 0.9 * rating + 0.8 * returns + 0.6 > 0
        rows.append(
            [
                f"K-{100000 + customer * 7}",
                signup.isoformat(),
                maybe(f"{last.day:02}.{last.month:02}.{last.year}"),
                maybe(str(rng.choice(cities))),
                f"0{rng.integers(10, 25)}",
                plan,
                maybe(str(rng.choice(["yes", "no"]))),
                maybe(str(rng.choice(["S", "M", "L"]))),
                maybe(str(rng.integers(18, 90))),
                maybe(number(rng.lognormal(10, 0.5))),
                str(rng.poisson(12)),
                str(returns),
                number(rng.gamma(2.0, 30.0)),
                number(rng.random(), 3),
                str(rng.poisson(40)),
                maybe(number(rng.gamma(3.0, 5.0), 1)),
                str(rating),
                maybe(str(rng.choice(["web", "shop", "phone"]))),
                maybe(comment),
                "left" if leaves else "stayed",
            ]
        )
    return rows


def write_customers(
    path: Path,
    *,
    encoding: str = "utf-8-sig",
    n: int = 240,
    change: Callable[[list[list[str]]], None] | None = None,
) -> Path:
    """Write the table to ``path`` and return it.

    Args:
        encoding: ``utf-8-sig`` begins with a mark of the byte order. change: of the rows.
    """
    rows = rows_of_customers(n, CITIES if encoding.startswith("utf") else LATIN_CITIES)
    if change is not None:
        change(rows)

    def quoted(cell: str) -> str:
        doubled = cell.replace('"', '""')
        return f'"{doubled}"' if set(cell) & set('";\n') else cell

    lines = [";".join(map(quoted, row)) for row in [list(COLUMNS), *rows]]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
    return path
