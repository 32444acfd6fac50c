"""Data files on the command line: what is guessed of them, and how far they are read."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from optlab.catalogue.datasets.base import Dataset
from optlab.core.printable import printable
from optlab.tasks.own_data import is_data, seen_with, tables_of

SHOWN_AFTER = 0.5
"""Seconds after which the progress is shown."""


def prepare(dataset: Dataset, *, silent: bool) -> None:
    """Read ahead what a data set takes long to read, and show how far it is; Ctrl-C cancels it.

    Args:
        dataset: to read. silent: whether nothing is shown; nothing is then read ahead either.

    Raises:
        InvalidInput: what is read cannot be used.
    """
    if silent or not sys.stderr.isatty():
        return
    begun = time.monotonic()
    shown = False
    try:
        for share in dataset.prepare():
            if time.monotonic() - begun > SHOWN_AFTER:
                shown = True
                print(f"\rReading the data… {share:4.0%}", end="", file=sys.stderr, flush=True)
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def own_table(source: str, changes: Mapping[str, str], *, silent: bool) -> dict[str, Any] | None:
    """Return the tables of an experiment on a data file; None where ``source`` names none.

    What is guessed is said on standard error.

    Args:
        source: path of the file. changes: dotted path → text. silent: whether nothing is said.

    Raises:
        InvalidInput: the file cannot be used.
    """
    if not is_data(source):
        return None
    seen = seen_with(source, changes)
    roles = ", ".join(seen.choices.get("columns", ()))
    for sentence in (*seen.notes, *([f"Roles of columns: {roles}."] if roles else [])):
        if not silent:
            print(printable(sentence), file=sys.stderr)
    return tables_of(seen)
