"""``trainer_state.json``: what the Trainer of Hugging Face's Transformers writes with a checkpoint."""

from __future__ import annotations

import json
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.reading import read_at_most
from optlab.outside.foreign_runs.nested import numbers_in, step_in
from optlab.outside.foreign_runs.records import (
    Collected,
    NewValues,
    Place,
    RunIdentity,
    RunSource,
)

NAME = "trainer_state.json"
_MAX_BYTES = 256 << 20


class TrainerStateSource(RunSource):
    """The history of a Trainer."""

    program = "Hugging Face"

    def identity(self) -> RunIdentity:
        """Return the title of the run: the file says no more."""
        return RunIdentity(self.id, self.id, "", self.program)

    def read(self, _identity: RunIdentity, place: Place) -> NewValues:
        """Return the whole history if the file has changed; see :class:`~.records.RunSource`.

        Raises:
            InvalidInput: the file cannot be read, or has no history.
        """
        try:
            state = self.path.stat()
            mark = (state.st_mtime_ns, state.st_size)
            if mark == place:
                return NewValues(place)
            content = read_at_most(self.path, _MAX_BYTES)
            document: Any = json.loads(content) if content is not None else None
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a JSON document"
            raise InvalidInput(
                f"{self.path} cannot be read: {reason}; the run is left out."
            ) from error
        history = document.get("log_history") if isinstance(document, dict) else None
        if not isinstance(history, list):
            raise InvalidInput(
                f"{self.path} has no list log_history, as the Trainer writes it; the run is left out."
            )
        found = Collected()
        for entry in history:
            counted = step_in(entry) if isinstance(entry, dict) else None
            if counted is None:
                continue
            for name, value in numbers_in(entry):
                if name != counted[0]:
                    found.add(name, counted[1], value)
        return NewValues(mark, 0, found.series(), (), bool(place))
