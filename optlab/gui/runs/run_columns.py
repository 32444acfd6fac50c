"""Columns of the runs panel: what stands in them, and how they are sorted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optlab.core.printable import printable
from optlab.experiment.settings import field_label, label_of, value_text
from optlab.tasks.run_figures import figure
from optlab.tasks.run_table import RunRow

NAME, STAR = "name", "star"
DEFAULT: tuple[str, ...] = (STAR, "status", "steps", "final:validation_loss")
"""Columns beside the name that are shown at first."""
_FIXED: Mapping[str, str] = {
    STAR: "★",
    "status": "Status",
    "steps": "Steps",
    "tags": "Tags",
    "note": "Note",
    "created": "Started",
    "seconds": "Seconds",
    "study": "Study",
    "arm": "Arm",
    "optimizer": "Optimizer",
    "dataset": "Data",
    "model": "Model",
    "device": "Device",
    "id": "Id",
}
_SAMPLE = 400
"""Runs that are looked at to find which figures and settings there are."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: ``name``, a fixed one, ``final:`` and a figure, or ``set:`` and the path of a setting.
        title: in the header.
    """

    key: str
    title: str

    @property
    def numeric(self) -> bool:
        """Whether its values are figures, which stand on the right."""
        return self.key in ("steps", "seconds") or self.key.startswith("final:")

    def value(self, row: RunRow) -> Any:
        """Return the value of a run, for sorting; None where it has none."""
        record, key = row.record, self.key
        kind, _, rest = key.partition(":")
        if kind == "final":
            value = record.final.get(rest)
            return None if value is None or math.isnan(value) else value
        if kind == "set":
            return row.settings.get(rest)
        match key:
            case "star":
                return record.starred
            case "tags":
                return ", ".join(record.tags)
            case "study":
                return row.study
            case "arm":
                return "" if row.member is None else row.member.arm
            case "optimizer" | "dataset" | "model":
                return label_of(key, row.settings.get(f"{key}.name"))
            case "name":
                return record.name or record.title
            case _:
                return getattr(record, key)

    def text(self, row: RunRow) -> str:
        """Return what stands in the cell of a run."""
        value = self.value(row)
        if self.key == STAR:
            return "★" if value else "☆"
        if self.key == "created":
            return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M")
        if value is None:
            return ""
        if self.key.startswith("final:"):
            return figure(self.key.partition(":")[2], value)
        if self.key == "steps":
            return f"{value:,}"
        if self.key == "seconds":
            return f"{value:,.1f}"
        if self.key.startswith("set:"):
            return printable(value_text(value))
        return printable(str(value))


def column_of(key: str, sample: RunRow | None = None) -> Column | None:
    """Return the column of a key; None where a key means nothing.

    Args:
        key: see :class:`Column`.
        sample: a run, whose fields give the titles of settings.
    """
    kind, _, rest = key.partition(":")
    if kind == "final" and rest:
        return Column(key, printable(rest.replace("_", " ").capitalize()))
    if kind == "set" and rest:
        title = field_label(rest, sample.settings) if sample is not None else rest
        return Column(key, printable(f"{title[:1].upper()}{title[1:]}"))
    return Column(key, _FIXED[key]) if key in _FIXED else None


def available(rows: Iterable[RunRow]) -> dict[str, list[Column]]:
    """Return the columns that there are, by the heading of their part of the menu."""
    some = [row for row, _ in zip(rows, range(_SAMPLE), strict=False)]
    figures = dict.fromkeys(name for row in some for name in row.record.final)
    samples: dict[str, RunRow] = {}
    for row in some:
        for path in row.settings.paths():
            samples.setdefault(path, row)
    settings = [
        column
        for path, row in samples.items()
        if path not in ("title", "format") and (column := column_of(f"set:{path}", row)) is not None
    ]
    return {
        "": [Column(key, title) for key, title in _FIXED.items()],
        "Results": [found for name in figures if (found := column_of(f"final:{name}"))],
        "Settings": settings,
    }


def sorting_key(value: Any) -> tuple[int, float, str]:
    """Return a key that sorts numbers before texts; what is missing is left to the caller."""
    if isinstance(value, bool | int | float):
        return 0, float(value), ""
    return 1, 0.0, str(value).lower()
