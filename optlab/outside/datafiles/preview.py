"""A first look at a file of the user's.

What it seems to be, its first rows, and how it would be read, for a dialog or a command to show.

Looking never raises: what is wrong with the file is one sentence of the result. The choices made on
it become a ``[dataset]`` section.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown
from optlab.core.reading import open_regular
from optlab.outside.datafiles.csv_table import Rows, read_rows
from optlab.outside.datafiles.dates import likely_order
from optlab.outside.datafiles.dialect import (
    Decimal,
    Delimiter,
    Dialect,
    Encoding,
    Header,
    Quote,
    alike,
    class_name,
    delimiter_name,
    is_index,
    is_number,
    with_point,
)
from optlab.outside.datafiles.idx_arrays import labels_beside, read_head, read_idx, usual_files
from optlab.outside.datafiles.npz_arrays import entries, read_array, usual_names
from optlab.outside.datafiles.roles import NO_INPUTS, column_number, entry, parsed
from optlab.outside.datafiles.suggestions import suggestions
from optlab.outside.datafiles.table_text import declares_encoding, refuse_binary_table
from optlab.outside.datafiles.targets import is_one_hot

ROWS = 50
"""Rows that are shown."""
SUGGESTING_ROWS = 1000
"""Rows by which roles are suggested."""
COLUMNS = 64
"""Columns that are shown; a picture has more, and nobody reads them."""

ColumnKind = Literal["whole", "real", "words", "dates", "missing"]
Kind = Literal["csv", "npz", "idx"]
COMPONENTS: Mapping[Kind, str] = {"csv": "csv_file", "npz": "npz_file", "idx": "idx_files"}
"""Kind of file → the data set that reads it."""
_TARGETS = (
    "target",
    "label",
    "labels",
    "class",
    "y",
    "species",
    "outcome",
    "output",
    "diagnosis",
    "quality",
    "price",
    "churn",
    "churned",
)


@dataclass(frozen=True)
class Column:
    """One column: its name, and what it holds."""

    name: str
    kind: ColumnKind


@dataclass(frozen=True)
class Preview:
    """What was seen.

    Attributes:
        path: the file, or the folder of IDX files. kind: what it is read as. columns: at most
            :data:`COLUMNS`. rows: of at most :data:`ROWS` examples, as texts.
        count: examples in all, or None where the file would have to be read for it. width: columns
            in all.
        target: the suggested target: a column of a table, an array of an NPZ file, "" for IDX.
            choices: fields of the data set, suggested or chosen.
        problem: what is wrong, in one sentence; "" if nothing is. notes: what to look at before
            training, a sentence each.
    """

    path: str
    kind: Kind
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    count: int | None = None
    width: int = 0
    target: str = ""
    choices: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problem: str = ""
    notes: tuple[str, ...] = ()

    def section(self, **changes: Any) -> dict[str, Any]:
        """Return the ``[dataset]`` section that reads it, with other choices where given."""
        return {"name": COMPONENTS[self.kind], **self.choices, **changes}


def preview(path: str | Path, *, suggest: bool = True, **choices: Any) -> Preview:
    """Look at a file or folder.

    Args:
        suggest: whether to suggest roles for the columns of a table that have none.
        choices: fields of the data set that the user has chosen (``delimiter="semicolon"``,
            ``target="species"``); the rest is suggested.
    """
    place = Path(path).expanduser()
    try:
        kind = kind_of(place)
    except InvalidInput as error:
        return Preview(str(place), "csv", problem=str(error))
    try:
        if kind == "csv":
            return _csv(place.resolve(), choices, suggest=suggest)
        return {"npz": _npz, "idx": _idx}[kind](place.resolve(), choices)
    except InvalidInput as error:
        key = "images" if kind == "idx" else "path"
        return Preview(
            str(place), kind, choices={key: str(place.resolve()), **choices}, problem=str(error)
        )


def dataset(section: Mapping[str, Any]) -> Component:
    """Return the data set of a section, read whole.

    Raises:
        InvalidInput: in one sentence, the first thing that is wrong with the choices or the file.
    """
    from optlab.core import registry

    component = registry.build("dataset", section)
    cast(Any, component).shape()
    return component


def kind_of(path: Path) -> Kind:
    """Return what a file seems to be, by its first bytes; a folder is one of IDX files.

    Raises:
        InvalidInput: it cannot be read, or is of a kind that is recognized but not read.
    """
    try:
        if path.is_dir():
            return "idx"
        with open_regular(path) as file:
            start = file.read(8)
            refuse_binary_table(path, start)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.", "dataset.path"
        ) from None
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")):
        if path.suffix.lower() in (".xlsx", ".ods", ".docx"):
            raise InvalidInput(
                f"{path} is a spreadsheet; save the table as CSV in UTF-8.", "dataset.path"
            )
        return "npz"
    if start.startswith(b"\x1f\x8b") and {*path.suffixes} & {".csv", ".tsv", ".txt"}:
        raise InvalidInput(
            f"{path} is a compressed table; unpack it first (gunzip).", "dataset.path"
        )
    if start.startswith((b"\x1f\x8b", b"\0\0")) or "ubyte" in path.name:
        return "idx"
    return "npz" if path.suffix.lower() == ".npz" else "csv"


def _csv(path: Path, choices: Mapping[str, Any], *, suggest: bool) -> Preview:
    dialect = Dialect(
        cast(Delimiter, choices.get("delimiter", "auto")),
        cast(Decimal, choices.get("decimal", "auto")),
        cast(Header, choices.get("header", "auto")),
        quote=cast(Quote, choices.get("quote", "double")),
        encoding=cast(Encoding, choices.get("encoding", "auto")),
        missing_words=tuple(choices.get("missing_words", ())),
    )
    found, dialect, notes = _read(path, dialect)
    missing = dialect.missing_cells
    sample = [cells for _, cells in found.rows]
    rows = sample[:ROWS]
    columns = tuple(
        Column(name, _column_kind([row[i] for row in rows], found.decimal, missing))
        for i, name in enumerate(found.names[:COLUMNS])
    )
    likely = next(
        (name for name in found.names if name.strip().lower() in _TARGETS), found.names[-1]
    )
    target = choices.get("target") or likely
    settled = {
        "path": str(path),
        "target": target,
        "delimiter": delimiter_name(found.delimiter),
        "decimal": "point" if found.decimal == "." else "comma",
        "header": "yes" if found.has_header else "no",
        "encoding": dialect.encoding,
        **choices,
    }
    if not found.has_header and not choices.get("target"):
        settled["target"] = str(found.names.index(likely) + 1)
    if suggest:
        roles, further = _suggested(path, found, sample, settled, missing)
        settled["columns"] = [*settled.get("columns", ()), *roles]
        notes += further
    shown_rows = tuple(row[:COLUMNS] for row in rows)
    inputs = _inputs(path, found.names, settled)
    notes += (*_index_notes(found.names, rows, inputs), *_class_notes(target, found, rows))
    return Preview(
        str(path), "csv", columns, shown_rows, None, len(found.names), target, settled, notes=notes
    )


def _read(path: Path, dialect: Dialect) -> tuple[Rows, Dialect, tuple[str, ...]]:
    """Return the first rows, the dialect with a likely encoding, and a note on it."""
    try:
        return read_rows(path, dialect, SUGGESTING_ROWS), dialect, ()
    except InvalidInput as error:
        stated = dialect.encoding != "auto"
        if error.field != "dataset.encoding" or stated or declares_encoding(path):
            raise
    for name in _OTHER_ENCODINGS:
        likely = dataclasses.replace(dialect, encoding=name)
        try:
            rows = read_rows(path, likely, SUGGESTING_ROWS)
        except InvalidInput as error:
            if error.field != "dataset.encoding":
                raise
            continue
        note = f"The file is not UTF-8; it is read as {name}. Check letters with accents."
        return rows, likely, (note,)
    raise AssertionError("every byte is a character of latin-1")


_OTHER_ENCODINGS: tuple[Encoding, ...] = ("windows-1252", "latin-1")


def _suggested(
    path: Path,
    found: Rows,
    sample: Sequence[Sequence[str]],
    settled: Mapping[str, Any],
    missing: frozenset[str],
) -> tuple[list[str], tuple[str, ...]]:
    """Return entries for the columns without a role that are not numbers, and notes on them."""
    stated = {
        column_number(path, found.names, parsed(text)[0], "columns")
        for text in settled.get("columns", ())
    }
    free = _inputs(path, found.names, settled) - stated
    roles = list(
        suggestions(found.names, sample, found.decimal, missing, lambda number: number in free)
    )
    if free | stated <= {number for number, one in roles if one.role.name in NO_INPUTS}:
        # A table needs an input, though it tells the rows apart.
        roles = [pair for pair in roles if pair[1].role.name not in NO_INPUTS]
    named = [found.names[number] if found.has_header else str(number + 1) for number, _ in roles]
    return (
        [entry(name, one.role) for name, (_, one) in zip(named, roles, strict=True)],
        tuple(one.note for _, one in roles if one.note),
    )


def _inputs(path: Path, names: Sequence[str], settled: Mapping[str, Any]) -> set[int]:
    """Return the numbers of the columns that are inputs unless a role says otherwise."""
    left_out = [("target", settled["target"])] if settled["target"] else []
    left_out += [("ignore", name) for name in settled.get("ignore", ())]
    left_out += [
        ("columns", name)
        for name, role in map(parsed, settled.get("columns", ()))
        if role.name in NO_INPUTS
    ]
    numbers = {column_number(path, names, name, field) for field, name in left_out}
    return set(range(len(names))) - numbers


def _index_notes(
    names: Sequence[str], rows: Sequence[tuple[str, ...]], inputs: set[int]
) -> Iterator[str]:
    """Yield a note for each column that counts the rows and is an input."""
    for number in sorted(inputs):
        name = names[number]
        stored = "" if name == f"column {number + 1}" else name
        if is_index(stored, [row[number] for row in rows]):
            yield (
                f"Column {shown(name)} counts the rows. As an input it may give the target away; "
                f"leave it out by dataset.ignore (--ignore {shown(name)})."
            )


def _class_notes(target: str, found: Rows, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield a note for classes that may be meant to be one."""
    places = [*found.names, *map(str, range(1, len(found.names) + 1))]
    if target not in places:
        return
    place = places.index(target) % len(found.names)
    for group in alike([class_name(row[place], found.decimal) for row in rows]):
        yield (
            f"The classes {', '.join(map(shown, group))} of column {shown(found.names[place])} "
            "differ only in how they are written. They are read as different classes; write them "
            "alike if they are one."
        )


def _column_kind(cells: Sequence[str], decimal: str, missing: frozenset[str]) -> ColumnKind:
    """Return what the cells of a column hold, missing ones aside."""
    present = [cell for cell in cells if cell.lower() not in missing]
    if not present:
        return "missing"
    if not all(is_number(cell, decimal) for cell in present):
        return "dates" if likely_order(present) is not None else "words"
    integers = all(float(with_point(cell, decimal)).is_integer() for cell in present)
    return "whole" if integers else "real"


def _npz(path: Path, choices: Mapping[str, Any]) -> Preview:
    found = entries(path)
    x, y = usual_names(path, tuple(found), choices.get("x", ""), choices.get("y", ""))
    if found[x].shape[:1] != found[y].shape[:1] or not found[x].shape:
        raise InvalidInput(
            f"{path}: array {shown(x)} has the shape {list(found[x].shape)}, but {shown(y)} has "
            f"{list(found[y].shape)}; every example needs its target.",
            "dataset.y",
        )
    inputs, targets = (read_array(path, name) for name in (x, y))
    seen = _arrays(
        path,
        "npz",
        inputs[:ROWS],
        targets[:ROWS],
        (x, y),
        found[x].shape,
        {"path": str(path), "x": x, "y": y, **choices},
    )
    if choices.get("task", "auto") == "regression" or not is_one_hot(targets):
        return seen
    note = (
        f"Array {shown(y)} is one-hot: its {targets.shape[1]} columns are read as classes; for a "
        "regression onto its numbers set dataset.task to regression."
    )
    return dataclasses.replace(seen, notes=(note,))


def _idx(path: Path, choices: Mapping[str, Any]) -> Preview:
    if path.is_dir():
        images, labels = usual_files(path)[:2]
        settled = {"images": str(path), **choices}
    else:
        beside = Path(choices["labels"]) if choices.get("labels") else labels_beside(path)
        if beside is None:
            raise InvalidInput(
                f"No file of labels is found beside {path}; give the file of images with its "
                "labels beside it, or the folder.",
                "dataset.labels",
            )
        images, labels = path, beside
        settled = {"images": str(path), "labels": str(beside), **choices}
    head = read_head(images)
    return _arrays(
        path,
        "idx",
        read_idx(images, ROWS),
        read_idx(labels, ROWS),
        ("pixel", "label"),
        head.shape,
        settled,
    )


def _arrays(
    path: Path,
    kind: Kind,
    x: NDArray[Any],
    y: NDArray[Any],
    names: tuple[str, str],
    shape: tuple[int, ...],
    choices: Mapping[str, Any],
) -> Preview:
    if x.size == 0 or y.size == 0:
        raise InvalidInput(f"{path} holds no examples.", "dataset.path")
    flat, targets = x.reshape(len(x), -1), y.reshape(len(y), -1)
    width = flat.shape[1] + targets.shape[1]
    here = min(flat.shape[1], COLUMNS - min(targets.shape[1], COLUMNS // 2))
    targets = targets[:, : COLUMNS - here]
    places = [",".join(map(str, np.unravel_index(i, x.shape[1:] or (1,)))) for i in range(here)]
    columns = [Column(f"{names[0]}[{place}]", _dtype_kind(x)) for place in places]
    columns += [
        Column(names[1] if targets.shape[1] == 1 else f"{names[1]}[{i}]", _dtype_kind(y))
        for i in range(targets.shape[1])
    ]
    rows = tuple(
        tuple(_cell(v) for v in row[:here]) + tuple(_cell(v) for v in goal)
        for row, goal in zip(flat.tolist(), targets.tolist(), strict=False)
    )
    return Preview(
        str(path),
        kind,
        tuple(columns),
        rows,
        shape[0],
        width,
        names[1] if kind == "npz" else "",
        choices,
    )


def _dtype_kind(array: NDArray[Any]) -> Literal["whole", "real", "words"]:
    return "words" if array.dtype.kind == "U" else "real" if array.dtype.kind == "f" else "whole"


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
