"""The studies that ship with OptLab, one file each; the comment at its head says what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from optlab.core import paths, toml


@dataclass(frozen=True)
class ShippedStudy:
    """A study that ships with OptLab.

    Attributes:
        name: argument of ``optlab study``. question: what it decides. sentence: what is compared.
    """

    name: str
    path: Path
    question: str
    sentence: str


def files() -> list[Path]:
    """Return the files, sorted by name."""
    return sorted(paths.studies().glob("*.toml"))


def read(path: Path) -> ShippedStudy:
    """Return the study in a file, without validation."""
    document = path.read_text(encoding="utf-8")
    head = re.match(r"(?:#.*\n?)+", document)
    text = " ".join(line.lstrip("# ").strip() for line in head[0].splitlines()) if head else ""
    return ShippedStudy(path.stem, path, str(toml.parse(document).get("question", "")), text)


def studies() -> list[ShippedStudy]:
    """Return all studies, sorted by name."""
    return [read(path) for path in files()]
