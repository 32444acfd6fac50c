"""Notes: why a step was not what its method promises, each reported once for a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from optlab.training.events import StepWarning

MAX_NOTES = 200
"""Different warnings that a run reports: a text with numbers in it may differ at every step."""


class Notes:
    """The notes of a session, of which one that a run has reported is not repeated."""

    def __init__(self) -> None:
        self._noted: dict[int, set[str]] = {}

    def new(self, notes: Mapping[int, str], step: int) -> Iterator[StepWarning]:
        """Yield warnings for those that are new; a run reports :data:`MAX_NOTES` at most.

        Args:
            notes: run → note. step: number of steps taken.
        """
        for run, note in notes.items():
            known = self._noted.setdefault(run, set())
            if note in known or len(known) > MAX_NOTES:
                continue
            known.add(note)
            words = (
                note
                if len(known) <= MAX_NOTES
                else f"there have been {MAX_NOTES} different warnings; others are not reported"
            )
            yield StepWarning(run, step, words)
