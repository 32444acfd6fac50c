"""The experiments that ship with OptLab, one file each.

The comment at the head of a file says what it is, what to see, and which figures of the run's end
show it. Presets are read without
validation, because menus and galleries show them all before one is picked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from optlab.core import paths, registry, toml


@dataclass(frozen=True)
class Preset:
    """One experiment that ships with OptLab.

    Attributes:
        name: argument of ``optlab run``. title: its name in lists. sentence: a summary. see: what
            to see when it runs. watch: names of the figures in the summary of a run that show it,
            as in :class:`optlab.training.final_results.FinalResult`.
        dataset: label of its data set. optimizer: label of its optimizer.
    """

    name: str
    path: Path
    title: str
    sentence: str
    see: str
    watch: tuple[str, ...]
    dataset: str
    optimizer: str

    def picture(self, theme: str) -> Path:
        """Return the file of its picture on a ``"light"`` or ``"dark"`` background."""
        return self.path.parent / "pictures" / f"{self.name}-{theme}.png"


def files() -> list[Path]:
    """Return the files, sorted by name."""
    return sorted(paths.presets().glob("*.toml"))


def presets() -> list[Preset]:
    """Return all presets, sorted by name."""
    return [read(path) for path in files()]


def about(path: Path) -> tuple[str, str]:
    """Return the summary of a preset and what to see, each a sentence or two."""
    return _comment(path.read_text(encoding="utf-8"))[:2]


def read(path: Path) -> Preset:
    """Return the preset in a file."""
    document = path.read_text(encoding="utf-8")
    tables = toml.parse(document)
    sentence, see, watch = _comment(document)
    dataset = registry.get("dataset", tables["dataset"]["name"]).label
    optimizer = registry.get("optimizer", tables.get("optimizer", {}).get("name", "sgd")).label
    return Preset(
        path.stem, path, tables.get("title") or path.stem, sentence, see, watch, dataset, optimizer
    )


def _comment(document: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the summary, what to see, and the names of the figures to watch."""
    head = re.match(r"(?:#.*\n?)+", document)
    text = " ".join(line.lstrip("# ").strip() for line in head[0].splitlines()) if head else ""
    text, _, watch = text.partition(" Watch: ")
    sentence, _, see = text.partition(" What to see: ")
    return sentence, see, tuple(filter(None, (name.strip() for name in watch.split(","))))
