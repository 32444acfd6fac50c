"""The task that registers an optimizer of the user's own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from optlab.core.errors import InvalidInput
from optlab.outside.own_models import sources
from optlab.outside.own_models.records import OPTIMIZER, Registration
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class RegisteredOptimizer:
    """A registered optimizer.

    Attributes:
        registration: its entry.
        fields: names of its fields.
        closure: whether it evaluates the loss itself.
        difference: largest relative difference between its parameters in a run and in a loop of
            plain torch.
        precision: in which they were compared; ``"float32"`` where it fails in ``"float64"``.
    """

    registration: Registration
    fields: tuple[str, ...]
    closure: bool
    difference: float
    precision: str


@dataclass(frozen=True)
class RegisterOptimizerTask(Task):
    """Execute a source that the user has confirmed, try its class, and register it.

    The result is a :class:`RegisteredOptimizer`.

    Attributes:
        what: path or dotted name, followed by ``:Class``.
        fingerprint: of what was confirmed.
        name: of the registration, without its prefix.
    """

    what: str
    fingerprint: str
    name: str

    def own_parts(self) -> tuple[str, ...]:
        """Return the source that is executed; see :class:`~optlab.tasks.task.Task`."""
        return (self.what,)

    def run(self, controls: Controls) -> Iterator[RegisteredOptimizer]:
        """Register the class; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: the file has changed, or its class cannot be used.
        """
        from optlab.catalogue.optimizers._bridge.own import register

        source = sources.find(self.what, kind=OPTIMIZER)
        if source.fingerprint != self.fingerprint:
            raise InvalidInput(
                f"{source.path}, or a file that it imports, has changed since it was shown; read it "
                "again before you confirm.",
                "origin",
            )
        # Output of the user's file must not mix with ours.
        with contextlib.redirect_stdout(sys.stderr):
            done = register(source, self.name)
        closure = done.registration.details["closure"] is True
        yield RegisteredOptimizer(
            done.registration, done.fields, closure, done.difference, done.precision
        )
