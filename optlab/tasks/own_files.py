"""Tasks for files of the user: preview a data file before its import, register a model."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optlab.catalogue.datasets.base import Dataset
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.outside.datafiles.preview import Preview, preview
from optlab.outside.datafiles.table_report import TableReport
from optlab.outside.own_models import sources
from optlab.outside.own_models.records import MODEL, Registration
from optlab.outside.own_models.registering import USUAL, register
from optlab.outside.own_models.sources import Source
from optlab.tasks.preview import DatasetPreview, preview_of
from optlab.tasks.task import Task
from optlab.training.control import Controls, Stop


@dataclass(frozen=True)
class ReadingShare:
    """How far a file is read: the share ``done`` from 0 to 1."""

    done: float


@dataclass(frozen=True)
class ImportTask(Task):
    """Preview how a data file would be read.

    The first result is a :class:`~optlab.outside.datafiles.preview.Preview`. While the entire file
    is read, there are results :class:`ReadingShare`; then, for a table, comes a
    :class:`~optlab.outside.datafiles.table_report.TableReport`, and last a
    :class:`~optlab.tasks.preview.DatasetPreview`.

    Attributes:
        path: of the file.
        choices: fields of the data set that the user has set.
        suggest: whether to suggest roles for the columns of a table.
    """

    path: str
    choices: Mapping[str, Any]
    suggest: bool = True

    def run(
        self, controls: Controls
    ) -> Iterator[Preview | ReadingShare | TableReport | DatasetPreview]:
        """See :class:`~optlab.tasks.task.Task`."""
        first = preview(self.path, suggest=self.suggest, **self.choices)
        yield first
        if first.problem:
            return
        dataset = registry.build(Dataset, first.section())
        reported = 0.0
        for share in dataset.prepare():
            if _stopped(controls):
                return
            if share - reported >= _REPORTED_SHARE:
                reported = share
                yield ReadingShare(share)
        if reported:
            yield ReadingShare(1.0)
        data = dataset.load()
        if _stopped(controls):
            return
        table = dataset.table_report(data)
        if table is not None:
            yield table
        yield preview_of(dataset, data)


def _stopped(controls: Controls) -> bool:
    return any(isinstance(message, Stop) for message in controls.receive(0))


_REPORTED_SHARE = 0.01
"""Share of a file after which its reading is reported again."""


@dataclass(frozen=True)
class SourceTask(Task):
    """Read the source of a model or an optimizer.

    The result is a :class:`~optlab.outside.own_models.sources.Source`.

    The class is not executed, but looking for a module may import its parent packages.

    Attributes:
        what: path or dotted name, and ``:Class`` where the source has several.
        kind: ``"model"`` or ``"optimizer"``.
    """

    what: str
    kind: str = MODEL

    def run(self, controls: Controls) -> Iterator[Source]:
        """Read the source; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is no such file, module or class.
        """
        with contextlib.redirect_stdout(sys.stderr):
            yield sources.find(self.what, kind=self.kind)


@dataclass(frozen=True)
class RegisterTask(Task):
    """Execute a source that the user has confirmed, and register its class.

    The result is a :class:`Registered`.

    Attributes:
        what: path or dotted name, followed by ``:Class``.
        fingerprint: of what was confirmed.
        name: of the registration, without its prefix.
        shapes: of the data on which the model is tried, one after another.
        dataset: section of an experiment whose data it is tried on last; where there are no
            ``shapes``, on these alone.
        columns: what each argument of its forward pass takes, as entries ``NAME=COLUMNS``, where
            it takes several.
    """

    what: str
    fingerprint: str
    name: str
    shapes: tuple[DataShape, ...] = USUAL
    columns: tuple[str, ...] = ()
    dataset: Mapping[str, Any] | None = None

    def own_parts(self) -> tuple[str, ...]:
        """Return the source that is executed; see :class:`~optlab.tasks.task.Task`."""
        return (self.what,)

    def run(self, controls: Controls) -> Iterator[Registered]:
        """Register the class; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: the file has changed, or its class is not a model.
        """
        source = sources.find(self.what)
        if source.fingerprint != self.fingerprint:
            raise InvalidInput(
                f"{source.path}, or a file that it imports, has changed since it was shown; read it again before you confirm.",
                "origin",
            )
        # Output of the user's file must not mix with ours.
        with contextlib.redirect_stdout(sys.stderr):
            result = register(source, self.name, self.shapes, self.columns, self._shape())
        yield Registered(result.registration, result.layout.total, result.shape.inputs)

    def _shape(self) -> DataShape | None:
        """Return the shape of the data set that is named, if there is one that can be read."""
        if self.dataset is None:
            return None
        try:
            return registry.build(Dataset, dict(self.dataset)).shape()
        except InvalidInput:
            if self.shapes:
                return None
            raise


@dataclass(frozen=True)
class Registered:
    """A registered model.

    Attributes:
        registration: its entry.
        parameters: their number.
        inputs: shape of an input on which the model was tried.
    """

    registration: Registration
    parameters: int
    inputs: tuple[int, ...]
