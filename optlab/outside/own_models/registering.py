"""Registering a model, after the user has confirmed what will be executed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.layout import Layout
from optlab.outside.own_models import records, sources
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


def register(source: Source, name: str, shapes: Sequence[DataShape] = USUAL) -> Registered:
    """Execute a confirmed source, try its class, and keep it as ``own.<name>``.

    Raises:
        InvalidInput: it cannot be executed or used with the first of ``shapes``; nothing is
            kept then.
        StoreError: it cannot be kept.
    """
    bare = records.checked_name(name)
    cls: Any = sources.execute(source)
    fields, fixed = sources.arguments(cls, str(source.path))
    registration = Registration(
        bare,
        source.origin,
        source.imported,
        source.cls,
        source.sha256,
        fields,
        fixed,
        source.beside,
    )
    first: InvalidInput | None = None
    for shape in shapes:
        try:
            made = functools.partial(cls, **sources.from_data(cls, shape))
            layout = examine(
                made, shape, sources.takes(cls, "inputs"), f"{source.path}: {source.cls}"
            ).layout
        except InvalidInput as error:
            first = first or error
        else:
            records.keep(registration)
            return Registered(registration, shape, layout)
    raise first or InvalidInput("There are no data to try the model on.", "origin")
