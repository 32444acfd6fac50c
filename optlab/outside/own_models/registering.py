"""Registering a model, after the user has confirmed what will be executed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core.data import DataShape, InputGroup
from optlab.core.errors import InvalidInput
from optlab.core.layout import Layout
from optlab.outside.own_models import division, records, sources
from optlab.outside.own_models.examination import examine
from optlab.outside.own_models.records import Registration
from optlab.outside.own_models.sources import Source

USUAL: tuple[DataShape, ...] = tuple(
    DataShape(inputs, outputs, "classes")
    for inputs in ((64,), (8, 8), (1, 8, 8), (3, 16, 16), (28, 28), (1, 28, 28), (2,))
    for outputs in (10, 2, 1)
)
"""Data on which a model is tried where the user does not say what it is for."""


@dataclass(frozen=True)
class Registered:
    """What came of it.

    The registration, and the data shape and layout on which the model was tried.
    """

    registration: Registration
    shape: DataShape
    layout: Layout


def register(
    source: Source,
    name: str,
    shapes: Sequence[DataShape] = USUAL,
    columns: Sequence[str] = (),
    last: DataShape | None = None,
) -> Registered:
    """Execute a confirmed source, try its class, and keep it as ``own.<name>``.

    Args:
        source: that was confirmed. name: without the prefix. shapes: data to try it on. columns:
            what arguments of its forward pass take, as entries ``NAME=COLUMNS``, before what the
            class says of them itself. last: more data, tried after the others.

    Raises:
        InvalidInput: it cannot be executed or used with any of the data; the message says why not with the
            first of them, and nothing is kept.
        StoreError: it cannot be kept.
    """
    bare = records.checked_name(name)
    cls: Any = sources.execute(source)
    what = f"{source.path}: {source.cls}"
    said = division.checked(cls, division.said_by(columns), what)
    said = {**division.declared(cls, what), **said}
    wanted = division.wanted(cls, what)
    several = len(wanted) > 1 or bool(said)
    given = sources.GIVEN_BY_NAME if several else sources.GIVEN
    fields, fixed = sources.arguments(cls, str(source.path), given)
    details: dict[str, Any] = {}
    if several:
        details["inputs"] = list(dict.fromkeys([*wanted, *said]))
        details["columns"] = list(division.entries(said))
    registration = Registration(
        bare,
        source.origin,
        source.imported,
        source.cls,
        source.sha256,
        fields,
        fixed,
        source.beside,
        details=details,
    )
    if several and tuple(shapes) == USUAL:
        shapes = list(_made_up(tuple(details["inputs"]), said))
    shapes = [*shapes, *([] if last is None else [last])]
    flat = sources.takes(cls, "inputs")
    first: InvalidInput | None = None
    for shape in shapes:
        try:
            divided = division.division(wanted, said, shape, what, flat=flat) if several else None
            made = functools.partial(cls, **sources.from_data(cls, shape, divided))
            layout = examine(made, shape, flat, what, divided).layout
        except InvalidInput as error:
            first = first or error
        else:
            records.keep(registration)
            return Registered(registration, shape, layout)
    raise first or InvalidInput("There are no data to try the model on.", "origin")


_TRIED = 4
"""Arguments that are tried as codes and as quantities, each; others are quantities."""
_CODES = 5
"""Codes of a column that is made up."""


def _made_up(inputs: Sequence[str], said: Mapping[str, str]) -> Iterator[DataShape]:
    """Yield data that have the columns of which something is said.

    For each argument both are tried, that its columns are quantities and that they are codes. Where
    only places are named, the data have no columns.
    """
    columns = {
        name: [one for one in division.listed(said.get(name, name)) if one != division.REST]
        for name in inputs
    }
    every = [one for own in columns.values() for one in own]
    if every and all(one.replace("-", "").replace(" ", "").isdecimal() for one in every):
        largest = max(int(one.rpartition("-")[2]) for one in every)
        # Some for an argument that takes the others.
        width = largest + (3 if any(not own for own in columns.values()) else 0)
        for outputs in (10, 2, 1):
            yield DataShape((width,), outputs, "classes")
        return
    for coded in itertools.product((False, True), repeat=min(len(inputs), _TRIED)):
        of_codes = {name for name, flag in zip(inputs, coded, strict=False) if flag}
        groups = {
            column: InputGroup(column, (1,), _CODES if name in of_codes else 0)
            for name, own in columns.items()
            for column in own or (f"{name} 1", f"{name} 2")
        }
        for outputs in (10, 2, 1):
            yield DataShape((len(groups),), outputs, "classes", tuple(groups.values()))
