"""What is seen of a study while it goes: a bar on a terminal, a few lines elsewhere."""

from __future__ import annotations

import math
import sys
from typing import Protocol

from optlab.cli.progress import LINES, warning
from optlab.studies.comparison.conduct import StudyBegun, StudyEvent, StudyNotice, StudyProgress


class StudyView(Protocol):
    """Shows the progress of a study."""

    def show(self, event: StudyEvent) -> None:
        """Show an event."""

    def close(self) -> None:
        """Stop showing; safe to call twice."""


class SilentView:
    """Shows warnings only."""

    def show(self, event: StudyEvent) -> None:
        """See :class:`StudyView`."""
        _warn(event)

    def close(self) -> None:
        """See :class:`StudyView`."""


class LinesView:
    """A few plain lines."""

    def __init__(self) -> None:
        self._stage = ""
        self._next = 0.0

    def show(self, event: StudyEvent) -> None:
        """See :class:`StudyView`."""
        if isinstance(event, StudyBegun):
            print(_begun(event), file=sys.stderr, flush=True)
        elif isinstance(event, StudyProgress):
            if event.words != self._stage:
                self._stage, self._next = event.words, 1.0 / LINES
            if event.done >= self._next:
                self._next = (math.floor(event.done * LINES) + 1) / LINES
                print(f"{event.words}: {event.done:.0%}", file=sys.stderr, flush=True)
        else:
            _warn(event)

    def close(self) -> None:
        """See :class:`StudyView`."""


class BarView:
    """A progress bar for each stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("setting up", total=1.0)
        self._progress.start()

    def show(self, event: StudyEvent) -> None:
        """See :class:`StudyView`."""
        if isinstance(event, StudyBegun):
            self._console.print(_begun(event), markup=False)
        elif isinstance(event, StudyProgress):
            self._progress.update(self._task, completed=event.done, description=event.words)
        elif isinstance(event, StudyNotice) and (sentence := warning(event.event)):
            self._console.print(sentence, markup=False)

    def close(self) -> None:
        """See :class:`StudyView`."""
        self._progress.stop()


def study_view(*, silent: bool) -> StudyView:
    """Return the view that suits where standard error goes."""
    if silent:
        return SilentView()
    return BarView() if sys.stderr.isatty() else LinesView()


def _begun(event: StudyBegun) -> str:
    return f"study {event.id}: {event.trials:,} runs"


def _warn(event: StudyEvent) -> None:
    if isinstance(event, StudyNotice) and (sentence := warning(event.event)):
        print(sentence, file=sys.stderr, flush=True)
