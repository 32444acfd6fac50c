"""Before a run: what initializers do layer by layer, and a range test of the learning rate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.experiment.own_code import own_code
from optlab.studies.tuning.range_test import (
    FIRST,
    LAST,
    STEPS,
    RangeProgress,
    RangeTest,
    raise_rate,
)
from optlab.studies.tuning.start_table import StartTable, start_table
from optlab.tasks.task import Task
from optlab.training.control import Controls, Stop

_REPORT_SECONDS = 0.1
"""Time between reports of how far a range test has come."""


@dataclass(frozen=True)
class StartTables:
    """What initializers do, one table each, that of the experiment first.

    Attributes:
        tables: in the order asked for.
        problems: name of an initializer → why it cannot start this experiment.
    """

    tables: tuple[StartTable, ...]
    problems: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class StartTask(Task):
    """Look at the starting point of an experiment, and at that of other initializers.

    The results are :class:`StartTables` with one table more each.

    Attributes:
        experiment: as TOML.
        others: names of other initializers, each with its default fields.
    """

    experiment: str
    others: tuple[str, ...] = ()

    def run(self, controls: Controls) -> Iterator[StartTables]:
        """Draw the starting points; see :class:`~optlab.tasks.task.Task`.

        Raises:
            InvalidInput: the experiment cannot be run.
        """
        experiment = Experiment.from_toml(self.experiment)
        tables = [start_table(experiment)]
        problems: list[tuple[str, str]] = []
        yield StartTables(tuple(tables))
        for name in dict.fromkeys(self.others):
            if any(isinstance(message, Stop) for message in controls.receive(0)):
                return
            try:
                tables.append(start_table(experiment.with_value("initializer.name", name)))
            except InvalidInput as error:
                problems.append((name, str(error)))
            yield StartTables(tuple(tables), tuple(problems))

    def own_parts(self) -> tuple[str, ...]:
        """See :class:`~optlab.tasks.task.Task`."""
        return own_code(self.experiment)


@dataclass(frozen=True)
class RangeTask(Task):
    """Raise the learning rate through one short run.

    The results are :class:`~optlab.studies.tuning.range_test.RangeProgress`, and last a
    :class:`~optlab.studies.tuning.range_test.RangeTest`; none after a Stop.

    Attributes:
        experiment: as TOML.
        first, last, steps: of the range test.
    """

    experiment: str
    first: float = FIRST
    last: float = LAST
    steps: int = STEPS

    def run(self, controls: Controls) -> Iterator[RangeProgress | RangeTest]:
        """Take the steps; see :class:`~optlab.tasks.task.Task`.

        Raises:
            InvalidInput: see :func:`~optlab.studies.tuning.range_test.range_test`.
        """
        reported = 0.0
        experiment = Experiment.from_toml(self.experiment)
        for found in raise_rate(experiment, self.first, self.last, self.steps):
            if isinstance(found, RangeTest):
                yield found
                return
            if any(isinstance(message, Stop) for message in controls.receive(0)):
                return
            if time.monotonic() >= reported + _REPORT_SECONDS:
                reported = time.monotonic()
                yield found

    def own_parts(self) -> tuple[str, ...]:
        """See :class:`~optlab.tasks.task.Task`."""
        return own_code(self.experiment)
