"""The command that trains what a stored run has trained."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.store import Store
from optlab.tasks import commands
from optlab.tasks.task import Task
from optlab.training.control import Controls

_MAX_CHANGES = 12
"""Settings that a command gives at most: a longer one says less than the run's id."""


@dataclass(frozen=True)
class RunCommandTask(Task):
    """Find the command line of a run; the result is its text.

    Attributes:
        run_id: its id.
    """

    run_id: str

    def run(self, controls: Controls) -> Iterator[str]:
        """Find it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is no such run.
            StoreError: the store cannot be read.
        """
        with Store.open_readonly() as store:
            record = store.run(self.run_id)
        yield command_of(record.experiment, record.id, fork=bool(record.parent))


def command_of(document: str, run_id: str, *, fork: bool = False) -> str:
    """Return the command that trains an experiment: a preset with what differs from it.

    Where no preset is near, or the run is a fork, it is the command that forks the stored run at
    its first step, which trains the same.

    Args:
        document: the experiment, as TOML.
        run_id: id of the stored run.
        fork: whether the run began at a step of another.
    """
    stored = f"optlab fork {shlex.quote(run_id)} --at 0"
    if fork:
        return stored
    try:
        experiment = Experiment.from_toml(document, check=False)
        return commands.command_of(experiment, at_most=_MAX_CHANGES)
    except InvalidInput:
        return stored
