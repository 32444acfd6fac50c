"""The command that trains what a stored run has trained."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optlab.core import paths
from optlab.core.errors import OptLabError
from optlab.experiment import Experiment, presets
from optlab.experiment.settings import Settings
from optlab.store import Store
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
    mine = Settings.of(document)
    data = mine.get("dataset.name")
    best: tuple[int, str, dict[str, str]] | None = None
    for path in presets.files():
        text = path.read_text(encoding="utf-8")
        if Settings.of(text).get("dataset.name") != data:
            continue
        base = Experiment.from_toml(text, check=False)
        changes = _changes(Settings.of(base.to_toml()), mine)
        if changes is not None and (best is None or len(changes) < best[0]):
            best = (len(changes), path.stem, changes)
    if best is None or best[0] > _MAX_CHANGES:
        return stored
    _, preset, changes = best
    words = ["optlab", "run", preset]
    for path_, value in changes.items():
        words += ["--set", f"{path_}={value}"]
    return shlex.join(words) if _trains(preset, changes, document) else stored


def _changes(base: Settings, mine: Settings) -> dict[str, str] | None:
    """Return what turns one into the other; None where a flag cannot say it."""
    changes: dict[str, str] = {}
    for path in sorted(base.differing_from(mine)):
        value = mine.get(path)
        if value is None:
            # It goes with the component that had it.
            continue
        if not isinstance(value, bool | int | float | str | list):
            return None
        changes[path] = _text(value)
    return changes


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return repr(value) if isinstance(value, float) else str(value)


def _trains(preset: str, changes: dict[str, str], document: str) -> bool:
    try:
        base = Experiment.load(paths.presets() / f"{preset}.toml", check=False)
        return base.with_values(changes, check=False) == Experiment.from_toml(document, check=False)
    except OptLabError:
        return False
