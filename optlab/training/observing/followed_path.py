"""The path of the run of a session, from its first step to its last.

It is drawn while the run is in progress. Of several runs nobody draws one, and keeping its points
would take a twentieth of the time of all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from optlab.training.events import WeightPath
from optlab.training.observing.path import PathRecorder
from optlab.training.trainer import Trainer

PATH_SHARE = 0.02
"""Share of the time that may go into projecting the path."""
_LEAST_SECONDS = 0.25


class FollowedPath:
    """Keeps the points of a session's run, where it has one alone.

    Args:
        trainer: of the session.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._recorder = PathRecorder(trainer.layout) if trainer.runs == 1 else None
        self._ended = False
        self._report_at = 0.0

    def due(self, step: int) -> bool:
        """Return whether a point is wanted at a step."""
        return self._recorder is not None and not self._ended and self._recorder.due(step)

    def add(self) -> None:
        """Keep the point at which the run is."""
        if self._recorder is not None:
            self._recorder.add(self._trainer.step, self._trainer.theta[0])

    def end(self) -> None:
        """Keep the last point: the run has ended."""
        self.add()
        self._ended = True

    def hurry(self) -> None:
        """Make the next report however short a time ago the last one was."""
        self._report_at = 0.0

    def report(self) -> Iterator[WeightPath]:
        """Yield the path up to here, unless the last report was a short time ago."""
        began = time.perf_counter()
        if self._recorder is None or began < self._report_at:
            return
        path = self._recorder.path()
        done = time.perf_counter()
        self._report_at = began + max(_LEAST_SECONDS, (done - began) / PATH_SHARE)
        if path is not None:
            yield path
