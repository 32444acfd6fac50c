"""The settings of many experiments: read quickly, compared, and put into words.

Documents of thousands of runs consist of few different sections. A section is parsed once, whatever
the number of runs that share it, so that two runs are compared by comparing identities.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core import registry, toml
from optlab.core.errors import InvalidInput
from optlab.core.wording import in_sentence
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General

OF_A_SEED = ("title", "seed", "dataset.seed")
"""Paths in which the runs of one arm may differ."""
_LAST = ("measures", "budget", "instruments")
"""Sections that hardly ever distinguish runs: they are named when nothing else does."""
_MAX_WORDS = 4
_LONGEST_NAME = 120
_LATER = {"compiled": False}
"""Fields of experiments by themselves that documents of older runs lack, with what they mean."""
_PLAIN = re.compile(r"""[a-z_]+ = (?:[^\s"'\[{#]+|"[^"\\]*")""")
"""A line ``key = value`` that stands for itself."""
_RATE = "lr"
"""The field that follows the name of its component without a label."""


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted path and value of everything in nested tables."""
    for key, value in table.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}.")
        else:
            yield path, value


@dataclass(frozen=True, eq=False)
class _Section:
    """A section of a document.

    Attributes:
        values: path → value.
        seedless: a text that is equal where all but :data:`OF_A_SEED` is.
    """

    values: Mapping[str, Any]
    seedless: str

    @functools.cached_property
    def ends(self) -> dict[str, list[Any]]:
        """End of a path, at a dot → values of the paths that end so."""
        found: dict[str, list[Any]] = {}
        for path, value in self.values.items():
            parts = path.split(".")
            for begin in range(len(parts)):
                found.setdefault(".".join(parts[begin:]), []).append(value)
        return found


class Settings:
    """The settings of one experiment.

    Args:
        sections: in the order of the document.
    """

    __slots__ = ("_sections",)

    def __init__(self, sections: tuple[_Section, ...]) -> None:
        self._sections = sections

    @classmethod
    def of(cls, document: str) -> Settings:
        """Return the settings in a TOML document, without checking them; none where it is not TOML."""
        # A header stands at the beginning of a line; so may a bracket in a text of several lines.
        pieces = document.split("\n[")
        in_parts = (pieces[0], *(f"[{piece}" for piece in pieces[1:]))
        return cls(_sections(in_parts) or _sections((document,)) or ())

    def get(self, path: str) -> Any:
        """Return the value of a path, None where there is none."""
        for section in self._sections:
            if path in section.values:
                return section.values[path]
        return None

    def find(self, name: str) -> list[Any]:
        """Return the values of all paths that are ``name`` or end with ``.name``."""
        # Of many runs all sections but the first, which has title and seed, are the same.
        first = self._sections[0].ends.get(name, ()) if self._sections else ()
        return [*first, *_found(self._sections[1:], name)]

    def paths(self) -> Iterator[str]:
        """Yield all paths, in order."""
        for section in self._sections:
            yield from section.values

    @property
    def seedless(self) -> tuple[str, ...]:
        """What is equal in experiments that differ in nothing but title and seeds."""
        return tuple(section.seedless for section in self._sections)

    def differing_from(self, other: Settings) -> Iterator[str]:
        """Yield the paths in which two experiments differ; sections that both share cost nothing."""
        mine, theirs = set(self._sections), set(other._sections)
        a = dict(flat_of(mine - theirs))
        b = dict(flat_of(theirs - mine))
        for path in dict.fromkeys((*a, *b)):
            if repr(a.get(path)) != repr(b.get(path)):
                yield path


def flat_of(sections: set[_Section]) -> Iterator[tuple[str, Any]]:
    """Yield path and value of everything in some sections."""
    for section in sections:
        yield from section.values.items()


def _sections(texts: tuple[str, ...]) -> tuple[_Section, ...] | None:
    """Return the sections in texts; None where one is not TOML by itself."""
    try:
        return tuple(map(_section, texts))
    except toml.TOMLProblem:
        return None


@functools.lru_cache(maxsize=1 << 15)
def _section(text: str) -> _Section:
    values = _plain_values(text)
    if values is None:
        values = dict(flat(toml.parse(text)))
    if "format" in values:
        values = {**_LATER, **values}
    seedless = {path: value for path, value in values.items() if path not in OF_A_SEED}
    return _Section(values, repr(sorted(seedless.items())))


@functools.lru_cache(maxsize=1 << 16)
def _found(sections: tuple[_Section, ...], name: str) -> tuple[Any, ...]:
    return tuple(value for one in sections for value in one.ends.get(name, ()))


def _plain_values(text: str) -> dict[str, Any] | None:
    """Return the values of a section without a header, of which each line is one: they are many.

    None where a line is none; then the section is parsed as a whole.
    """
    lines = [line for line in text.split("\n") if line]
    if not all(map(_PLAIN.fullmatch, lines)):
        return None
    return dict(map(_plain_value, lines))


@functools.lru_cache(maxsize=1 << 15)
def _plain_value(line: str) -> tuple[str, Any]:
    ((key, value),) = toml.parse(line).items()
    return key, value


# --- names ------------------------------------------------------------------------------------


def differing(experiments: Sequence[Settings]) -> list[str]:
    """Return the paths in which some of the experiments differ, those that say most first.

    Titles do not count. Components come before their fields, seeds after everything else.
    """
    if not experiments:
        return []
    paths = {
        path
        for other in dict.fromkeys(experiments[1:])
        for path in experiments[0].differing_from(other)
    }
    return sorted(paths - {"title", "format"}, key=_rank)


def distinguishing_names(experiments: Sequence[Settings]) -> list[str]:
    """Return for each experiment what distinguishes it from the others: ``Adam 0.001``.

    "" where nothing does. Names of different experiments may still be equal where they differ in
    more than a name can say.
    """
    paths = differing(experiments)
    chosen = _chosen(experiments, paths)
    seedless = [path for path in chosen if path not in OF_A_SEED]
    names = [_name(one, seedless)[:_LONGEST_NAME] for one in experiments]
    counts = Counter(names)
    # A seed is named where it is all that distinguishes a run.
    return [
        name if name and counts[name] == 1 else _name(one, chosen)[:_LONGEST_NAME]
        for name, one in zip(names, experiments, strict=True)
    ]


def _chosen(experiments: Sequence[Settings], paths: Sequence[str]) -> list[str]:
    """Return the first paths that together tell as many experiments apart as all do."""
    chosen: list[str] = []
    classes: list[tuple[str, ...]] = [() for _ in experiments]
    count = 1
    for path in paths:
        if count == len(experiments) or len(chosen) == _MAX_WORDS:
            break
        split = [(*key, repr(one.get(path))) for key, one in zip(classes, experiments, strict=True)]
        if len(set(split)) > count:
            chosen.append(path)
            classes, count = split, len(set(split))
    for path in tuple(chosen):
        # A rate belongs to its rule: one without the other says little.
        section, _, field = path.rpartition(".")
        rate = f"{section}.{_RATE}"
        if field == "name" and rate in paths and rate not in chosen:
            chosen.insert(chosen.index(path) + 1, rate)
    return chosen


def _name(one: Settings, paths: Sequence[str]) -> str:
    words = []
    named: set[str] = set()
    for path in paths:
        value = one.get(path)
        if value is None:
            continue
        section, _, field = path.rpartition(".")
        component = _short(section, one.get(f"{section}.name"))
        if field == "name":
            if section not in named:
                words.append(component)
            named.add(section)
        elif field == _RATE and section in SECTIONS:
            words.append(
                value_text(value) if section in named else f"{component} {value_text(value)}"
            )
            if section in named and len(words) > 1:
                words[-2:] = [f"{words[-2]} {words[-1]}"]
            named.add(section)
        else:
            words.append(f"{field_label(path, one)} {value_text(value)}")
    return ", ".join(words)


def _short(kind: str, name: object) -> str:
    """Return what a component is called in the names of runs."""
    try:
        return registry.get(kind, str(name)).short_label()
    except (InvalidInput, KeyError):
        return str(name)


def label_of(kind: str, name: object) -> str:
    """Return the label of a component; its name where it is not in the catalogue."""
    try:
        return registry.get(kind, str(name)).label
    except (InvalidInput, KeyError):
        return str(name)


def field_label(path: str, one: Settings) -> str:
    """Return the label of a field in small letters; the end of its path where it is not known."""
    section, _, name = path.rpartition(".")
    try:
        if not section:
            label = General.field(name).label
        elif section in PLAIN_SECTIONS:
            label = PLAIN_SECTIONS[section].field(name).label
        elif section in SECTIONS:
            label = registry.get(section, str(one.get(f"{section}.name"))).field(name).label
        else:
            label = path
    except (InvalidInput, KeyError):
        label = name.replace("_", " ")
    return in_sentence(label)


def value_text(value: object) -> str:
    """Return a value of a setting as names and tables show it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "–".join(map(str, value)) or "none"
    return str(value)


def _rank(path: str) -> tuple[int, int, int, str]:
    section, _, field = path.rpartition(".")
    seed = path in OF_A_SEED
    last = section.partition(".")[0] in _LAST
    order = (
        0 if section == "optimizer" else 1 + SECTIONS.index(section) if section in SECTIONS else 99
    )
    return (
        3 if seed else 2 if last else 1,
        order,
        0 if field == "name" else 1 if field == _RATE else 2,
        path,
    )
