"""Live values: what the experiments of a session have become by changes during the run.

Epochs are converted to steps once, by the number of steps that an epoch has at the start. A value
that is set counts what its section counts, as it does in the file; so does one in a snapshot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.experiment.epochs import in_steps
from optlab.training.control import SHARED_PATHS


class LiveValues:
    """The experiments of R runs, with the changes made during the run.

    Args:
        given: the experiments as they were given. steps_per_epoch: of each.

    Attributes:
        requested: as they were given, epochs converted to steps.
        effective: the same with the changes; a list that is changed in place.
    """

    def __init__(self, given: Sequence[Experiment], steps_per_epoch: Sequence[int]) -> None:
        self._given = tuple(given)
        self._changed = list(given)
        self._steps_per_epoch = tuple(steps_per_epoch)
        self.requested = tuple(map(in_steps, given, steps_per_epoch))
        self.effective = list(self.requested)

    def restore(self, run: int, values: Mapping[str, float]) -> None:
        """Apply the changes of a run that a snapshot holds, path → value."""
        for path, value in values.items():
            self._put(run, self._changed[run].with_value(path, value))

    def set(self, path: str, value: float, run: int | None) -> float:
        """Change a field of one run or (None) of all.

        Returns:
            The value as the field has it: a whole number where the field has whole numbers.

        Raises:
            InvalidInput: the field cannot be changed during a run, or the value is not allowed.
        """
        if run is not None and path in SHARED_PATHS and len(self.effective) > 1:
            raise InvalidInput(
                f"{path} is the same in all runs of a population; change it in all of them.", path
            )
        changed: dict[int, Experiment] = {}
        for member in range(len(self.effective)) if run is None else [run]:
            live = self._changed[member].live_fields()
            if path not in live:
                raise InvalidInput(
                    f"{path} cannot be changed during a run; these can: {', '.join(live)}.",
                    path,
                )
            value = int(value) if live[path].kind == "integer" else float(value)
            changed[member] = self._changed[member].with_value(path, value)
        for member, experiment in changed.items():
            self._put(member, experiment)
        return value

    def _put(self, run: int, experiment: Experiment) -> None:
        self._changed[run] = experiment
        instruments = self.effective[run].instruments
        converted = in_steps(experiment, self._steps_per_epoch[run])
        self.effective[run] = dataclasses.replace(converted, instruments=instruments)

    def values(self, run: int) -> dict[str, float]:
        """Return the live fields of a run that differ from what was given, path → value."""
        given, changed = self._given[run], self._changed[run]
        found: dict[str, float] = {}
        for path in given.live_fields():
            section, _, field = path.partition(".")
            value = getattr(getattr(changed, section), field)
            if value != getattr(getattr(given, section), field):
                found[path] = value
        return found
