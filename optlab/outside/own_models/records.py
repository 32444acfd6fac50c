"""Which models and which optimizers of the user's own are registered.

A TOML file of each kind in the user's data folder, read again at every query, since a confirmation
may be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import tomli_w

from optlab.core import paths, toml
from optlab.core.errors import InvalidInput, StoreError
from optlab.core.fields import MAX_SIZE, did_you_mean, shown
from optlab.core.files import write_atomically
from optlab.core.reading import read_at_most
from optlab.core.toml import LARGEST_DOCUMENT

FORMAT = 1
PREFIX = "own."
"""What registered names begin with, so that none can stand in for a component of the catalogue."""
MODEL = "model"
OPTIMIZER = "optimizer"

ArgumentKind = Literal["whole", "real", "switch", "text", "sizes"]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")


@dataclass(frozen=True)
class Argument:
    """An argument of the constructor that can be a field; ``default``: its own, tuples for sizes."""

    name: str
    kind: ArgumentKind
    default: bool | int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Registration:
    """A model or an optimizer that the user has confirmed.

    Attributes:
        name: without the prefix. origin: path of a Python file, or dotted name of a module.
            imported: whether it is the latter. cls: name of the class in it.
        sha256: of the source file that was confirmed. arguments: those that become fields. fixed:
            those that stay at their defaults. beside: path and SHA-256 of each file that it imports
            from beside it, see :func:`optlab.outside.own_models.imports.beside`.
        kind: which of the two. details: what else is known of it, as TOML; of a model ``inputs``,
            the arguments of its forward pass, and ``columns``, what each takes, where there are
            several.
    """

    name: str
    origin: str
    imported: bool
    cls: str
    sha256: str
    arguments: tuple[Argument, ...] = ()
    fixed: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict, hash=False)
    kind: str = MODEL
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The arguments of a model's forward pass, where its inputs are divided among them."""
        return tuple(self.details.get("inputs", ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """What each of them takes, as entries ``NAME=COLUMNS``, unless an experiment says otherwise."""
        return tuple(self.details.get("columns", ()))


def place(kind: str = MODEL) -> Path:
    """Return the file of the registrations of a kind; it need not be there."""
    return paths.home() / f"own_{kind}s.toml"


def stamp(kind: str = MODEL) -> tuple[str, int, int]:
    """Return a value that changes whenever the registrations of a kind may have changed."""
    path = place(kind)
    try:
        state = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), state.st_mtime_ns, state.st_size


def checked_name(name: str, kind: str = MODEL) -> str:
    """Return ``name`` without its prefix.

    Raises:
        InvalidInput: it cannot be a name.
    """
    bare = name.removeprefix(PREFIX)
    if not _NAME.fullmatch(bare):
        raise InvalidInput(
            f"{shown(name)} cannot be the name of {_A[kind]}; use small letters, digits and "
            f"underscores, such as {'my_net' if kind == MODEL else 'my_rule'}.",
            "name",
        )
    return bare


_A = {MODEL: "a model", OPTIMIZER: "an optimizer"}


def name_of(cls: str) -> str:
    """Return a name for a class: ``MyNet`` → ``my_net``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls).lower().strip("_")


@dataclass(frozen=True)
class Entry:
    """An entry of the file: a registration, or why it is none.

    Attributes:
        label: its name, or ``entry 2`` where the name itself is wrong.
        table: the entry as it is in the file.
        registration: None where it is damaged.
        problem: a sentence that says why; "" where it is not.
    """

    label: str
    table: Any
    registration: Registration | None
    problem: str = ""


def read(kind: str = MODEL) -> tuple[Registration, ...]:
    """Return all registrations of a kind, by name, without damaged entries.

    Raises:
        StoreError: the file is damaged as a whole, or of a newer OptLab.
    """
    found = [entry.registration for entry in read_entries(kind)]
    return tuple(
        sorted(
            (registration for registration in found if registration is not None),
            key=lambda registration: registration.name,
        )
    )


def read_entries(kind: str = MODEL) -> tuple[Entry, ...]:
    """Return all entries, in the order of the file; one that is damaged does not affect the others.

    Raises:
        StoreError: the file is damaged as a whole, or of a newer OptLab.
    """
    path = place(kind)
    try:
        content = read_at_most(path, LARGEST_DOCUMENT)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from None
    if content is None:
        raise StoreError(
            f"{path}, the list of your own {kind}s, is larger than {LARGEST_DOCUMENT // 1024} KiB; "
            "move it away and register them again."
        )
    try:
        tables = toml.parse(content.decode("utf-8"))
    except ValueError as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise _damaged(kind, words) from None
    if tables.get("format") != FORMAT:
        raise StoreError(
            f"{path} has the format {shown(tables.get('format'))}, but this OptLab reads "
            f"format {FORMAT}; move it away or update OptLab."
        )
    own = tables.get(kind, [])
    if not isinstance(own, list):
        raise _damaged(kind, f"{kind} is no list of tables")
    entries: list[Entry] = []
    for number, table in enumerate(own, start=1):
        entries.append(_entry(kind, number, table, [entry.label for entry in entries]))
    return tuple(entries)


def _damaged(kind: str, words: str) -> StoreError:
    return StoreError(
        f"{place(kind)}, the list of your own {kind}s, is damaged ({words}); move it away and "
        "register them again."
    )


def _entry(kind: str, number: int, table: Any, before: list[str]) -> Entry:
    name = table.get("name") if isinstance(table, dict) else None
    named = isinstance(name, str) and _NAME.fullmatch(name) is not None
    label = str(name) if named and name not in before else f"entry {number}"
    try:
        registration = _registration(kind, table)
        if label != registration.name:
            raise ValueError(f"the name {registration.name} is used by an earlier entry")
    except KeyError as error:
        problem = f"it has no {error.args[0]}"
    except (TypeError, ValueError, AttributeError) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
    else:
        return Entry(label, table, registration)
    advice = f"optlab {kind} forget {label}" if label == name else "remove it from the file"
    return Entry(
        label,
        table,
        None,
        f"Entry {number} of {place(kind)} is damaged: {problem}; register the {kind} again or "
        f"{advice}.",
    )


def get(name: str, kind: str = MODEL) -> Registration:
    """Return the registration of a kind called ``name``, with or without the prefix.

    Raises:
        InvalidInput: there is none.
    """
    entries = read_entries(kind)
    known = {entry.label: entry.registration for entry in entries if entry.registration is not None}
    bare = name.removeprefix(PREFIX)
    if bare not in known:
        for entry in entries:
            if entry.label == bare:
                raise InvalidInput(entry.problem, f"{kind}.name")
        listing = ", ".join(known) if known else "none"
        raise InvalidInput(
            f"No {kind} {shown(bare)} is registered on this machine{did_you_mean(bare, known)}; "
            f"registered are: {listing}.",
            f"{kind}.name",
        )
    return known[bare]


def keep(registration: Registration) -> None:
    """Add a registration, in place of one of its name.

    Raises:
        StoreError: it cannot be written.
    """
    others = [
        entry.table for entry in read_entries(registration.kind) if entry.label != registration.name
    ]
    _write(registration.kind, [*others, document(registration)])


def forget(name: str, kind: str = MODEL) -> str:
    """Take a registration back, or drop a damaged entry; the source file is left alone.

    Returns:
        Where the source is, or "" where that is damaged.

    Raises:
        InvalidInput: there is none of this name.
    """
    bare = name.removeprefix(PREFIX)
    entries = read_entries(kind)
    gone = next((entry for entry in entries if entry.label == bare), None)
    origin = get(name, kind).origin if gone is None or gone.registration is not None else ""
    _write(kind, [entry.table for entry in entries if entry is not gone])
    return origin


def _write(kind: str, tables: list[Any]) -> None:
    content = tomli_w.dumps({"format": FORMAT, kind: tables}).encode()
    if len(content) > LARGEST_DOCUMENT:
        raise StoreError(
            f"{place(kind)}, the list of your own {kind}s, would be larger than "
            f"{LARGEST_DOCUMENT // 1024} KiB; forget some of them first, or install a package whose "
            "files are not to be listed."
        )
    paths.writable_home()
    write_atomically(place(kind), content)


def document(registration: Registration) -> dict[str, Any]:
    """Return a registration as it is written to TOML and JSON."""
    return {
        "name": registration.name,
        "origin": registration.origin,
        "imported": registration.imported,
        "class": registration.cls,
        "sha256": registration.sha256,
        "arguments": [
            {
                "name": a.name,
                "kind": a.kind,
                "default": list(a.default) if isinstance(a.default, tuple) else a.default,
            }
            for a in registration.arguments
        ],
        "fixed": list(registration.fixed),
        "beside": dict(registration.beside),
        **({"details": dict(registration.details)} if registration.details else {}),
    }


def _registration(kind: str, table: Any) -> Registration:
    if not isinstance(table, dict):
        raise TypeError("it is no table")
    texts = [table[key] for key in ("name", "origin", "class", "sha256")]
    if (
        not all(isinstance(text, str) and text for text in texts)
        or not _NAME.fullmatch(texts[0])
        or not isinstance(table["imported"], bool)
    ):
        raise ValueError("one of its values is of the wrong kind")
    name, origin, cls, sha256 = texts
    fixed = table["fixed"]
    if not isinstance(fixed, list) or not all(isinstance(item, str) for item in fixed):
        raise ValueError("one of its values is of the wrong kind")
    beside = table.get("beside", {})
    if not isinstance(beside, dict) or not all(isinstance(item, str) for item in beside.values()):
        raise ValueError("one of its values is of the wrong kind")
    details = table.get("details", {})
    if not isinstance(details, dict) or not (kind != MODEL or _texts_alone(details)):
        raise ValueError("one of its values is of the wrong kind")
    return Registration(
        name,
        origin,
        table["imported"],
        cls,
        sha256,
        _arguments(table["arguments"]),
        tuple(fixed),
        beside,
        kind,
        details,
    )


def _texts_alone(details: Mapping[str, Any]) -> bool:
    lists = [details.get(key, []) for key in ("inputs", "columns")]
    return all(isinstance(own, list) and all(isinstance(t, str) for t in own) for own in lists)


def _arguments(tables: Any) -> tuple[Argument, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise TypeError("arguments is no list of tables")
    arguments = tuple(_argument(table) for table in tables)
    if len({argument.name for argument in arguments}) < len(arguments):
        raise ValueError("it has two arguments of one name")
    return arguments


def _argument(table: Mapping[str, Any]) -> Argument:
    name, kind, default = table["name"], table["kind"], table["default"]
    if not (isinstance(name, str) and name.isidentifier() and kind in get_args(ArgumentKind)):
        raise ValueError("one of its arguments is wrong")
    if isinstance(default, list):
        default = tuple(default)
    if kind_of(default) != kind:
        raise ValueError("one of its arguments is wrong")
    return Argument(name, cast(ArgumentKind, kind), default)


def kind_of(default: object) -> ArgumentKind | None:
    """Return the kind of field for an argument with this default; None where there is none."""
    if isinstance(default, bool):
        return "switch"
    if isinstance(default, int):
        return "whole"
    if isinstance(default, float):
        return "real" if default - default == 0.0 else None
    if isinstance(default, str):
        return "text"
    if isinstance(default, tuple) and all(type(n) is int and 1 <= n <= MAX_SIZE for n in default):
        return "sizes"
    return None
