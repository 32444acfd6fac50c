"""What is in the window as a command: an experiment as a preset and its changes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment, presets
from optlab.experiment.schedules import SCHEDULES
from optlab.experiment.sections import SECTIONS


def command_of(experiment: Experiment, *, at_most: int | None = None) -> str:
    """Return the command that runs an experiment: of the preset that needs the fewest changes.

    Args:
        at_most: changes that it may have; None for any number.

    Raises:
        InvalidInput: no preset and changes give it.
    """
    found: list[tuple[int, str]] = []
    files = presets.files()
    alike = [
        path for path in files if f'name = "{experiment.dataset.name}"' in path.read_text("utf-8")
    ]
    for path in alike or files:
        base = Experiment.load(path, check=False)
        changes = _changes(base, experiment)
        if changes is not None and (at_most is None or len(changes) <= at_most):
            flags = [
                part for name, value in changes.items() for part in ("--set", f"{name}={value}")
            ]
            found.append((len(changes), shlex.join(["optlab", "run", path.stem, *flags])))
    if not found:
        raise InvalidInput(
            "This experiment cannot be said as a preset with changes; save it to a file, and run "
            "that by optlab run FILE."
        )
    return min(found)[1]


def _changes(base: Experiment, wanted: Experiment) -> dict[str, str] | None:
    """Return path → text of the changes that make one experiment another; None if none do."""
    names = {
        f"{section}.name": getattr(wanted, section).name
        for section in SECTIONS
        if getattr(wanted, section).name != getattr(base, section).name
    }
    changes = dict(names)
    given = _flat(base.with_values(names, check=False).to_dict() if names else base.to_dict())
    asked = _flat(wanted.to_dict())
    for path in given:
        if path not in asked and path.startswith((f"{SCHEDULES}.", f"{INSTRUMENTS}.")):
            whole = ".".join(path.split(".")[:2]) if path.startswith(INSTRUMENTS) else path
            changes[whole] = "off"
    changes |= {
        path: _text(value)
        for path, value in asked.items()
        if path not in given or given[path] != value
    }
    try:
        same = base.with_values(changes, check=False) == wanted
    except InvalidInput:
        return None
    return changes if same else None


def _flat(tables: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
