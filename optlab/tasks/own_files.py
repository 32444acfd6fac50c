"""What the window asks about things of the user's own: a data file to import, a model to register."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.outside.datafiles.preview import Preview, preview
from optlab.outside.own_models import sources
from optlab.outside.own_models.records import Registration
from optlab.outside.own_models.registering import register
from optlab.tasks.preview import DatasetPreview
from optlab.tasks.preview import preview as dataset_preview
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class ImportTask(Task):
    """How a data file would be read.

    Answered by a :class:`~optlab.outside.datafiles.preview.Preview` at once, and by a
    :class:`~optlab.tasks.preview.DatasetPreview` when the whole file was read.

    Attributes:
        choices: fields of the data set that the user has chosen.
    """

    path: str
    choices: Mapping[str, Any]

    def run(self, controls: Controls) -> Iterator[Preview | DatasetPreview]:
        seen = preview(self.path, **self.choices)
        yield seen
        if not seen.problem:
            yield dataset_preview(seen.section())


@dataclass(frozen=True)
class RegisterTask(Task):
    """Execute a source that the user has confirmed, and register its class; answered by a
    :class:`Registered`.

    Attributes:
        what: path or dotted name, with ``:Class`` behind it. sha256: of the file that was
            confirmed. name: without its prefix.
    """

    what: str
    sha256: str
    name: str

    def run(self, controls: Controls) -> Iterator[Registered]:
        source = sources.find(self.what)
        if source.sha256 != self.sha256:
            raise InvalidInput(
                f"{source.path} has changed since you looked at it; look again before you confirm.",
                "origin",
            )
        # What the user's file prints is no word of ours.
        with contextlib.redirect_stdout(sys.stderr):
            done = register(source, self.name)
        yield Registered(done.registration, done.layout.total, done.shape.inputs)


@dataclass(frozen=True)
class Registered:
    """What came of it: the registration, the number of parameters, and the shape of the inputs on
    which the model was tried.
    """

    registration: Registration
    parameters: int
    inputs: tuple[int, ...]
