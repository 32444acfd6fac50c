"""The experiments that ship with OptLab: a file each, which says in the comment at its head what it
is and what there is to see.

They are read without being validated: a menu or a gallery shows them all before anyone picks one.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from optlab.core import paths, registry


@dataclass(frozen=True)
class Preset:
    """One experiment that ships with OptLab.

    Attributes:
        name: what ``optlab run`` takes. title: its words in lists. sentence: what it is. see: what
            there is to see when it runs.
        dataset: label of its data. optimizer: label of its optimizer.
    """

    name: str
    path: Path
    title: str
    sentence: str
    see: str
    dataset: str
    optimizer: str

    def picture(self, theme: str) -> Path:
        """File of its picture on a ``"light"`` or ``"dark"`` ground."""
        return self.path.parent / "pictures" / f"{self.name}-{theme}.png"


def files() -> list[Path]:
    """The files, by name."""
    return sorted(paths.presets().glob("*.toml"))


def presets() -> list[Preset]:
    """All presets, by name."""
    return [read(path) for path in files()]


def about(path: Path) -> tuple[str, str]:
    """What a preset is, and what there is to see (each a sentence or two)."""
    return _words(path.read_text(encoding="utf-8"))


def read(path: Path) -> Preset:
    """The preset in a file."""
    document = path.read_text(encoding="utf-8")
    tables = tomllib.loads(document)
    sentence, see = _words(document)
    dataset = registry.get("dataset", tables["dataset"]["name"]).label
    optimizer = registry.get("optimizer", tables.get("optimizer", {}).get("name", "sgd")).label
    return Preset(
        path.stem, path, tables.get("title") or path.stem, sentence, see, dataset, optimizer
    )


def _words(document: str) -> tuple[str, str]:
    head = re.match(r"(?:#.*\n?)+", document)
    words = " ".join(line.lstrip("# ").strip() for line in head[0].splitlines()) if head else ""
    sentence, _, see = words.partition(" What to see: ")
    return sentence, see
