"""Folders of runs of other programs, for the command line and the window: what is in them and new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.outside.foreign_runs.finding import find
from optlab.outside.foreign_runs.records import (
    ForeignRun,
    NewValues,
    Place,
    RunIdentity,
    RunSource,
)
from optlab.tasks.task import Task
from optlab.training.control import Controls


class WatchedFolder:
    """A folder of runs of other programs that is read again and again.

    Args:
        folder: that of a run, or one with runs in it.

    Attributes:
        runs: id → run, in the order of their paths.
        problems: what cannot be read → why, a sentence.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: dict[str, ForeignRun] = {}
        self.problems: dict[str, str] = {}

    def read(self) -> dict[str, NewValues]:
        """Read what is new, and return it by the id of the run.

        Raises:
            InvalidInput: the folder cannot be read.
        """
        new: dict[str, NewValues] = {}
        found = find(self.folder)
        self.problems.update((problem, problem) for problem in found.problems)
        for source in found.sources:
            try:
                if source.id not in self.runs:
                    self.runs[source.id] = ForeignRun(source, source.identity())
                run = self.runs[source.id]
                if not run.ended:
                    new[source.id] = run.read()
            except InvalidInput as error:
                self.problems[source.id] = str(error)
        return new

    def document(self) -> dict[str, Any]:
        """Return the runs with their series and last values, as JSON can hold them."""
        return {
            "folder": str(self.folder),
            "runs": [run_document(run) for run in self.runs.values()],
            "problems": list(self.problems.values()),
        }


def run_document(run: ForeignRun) -> dict[str, Any]:
    """Return a run with its series and last values, as JSON can hold them."""
    return {
        "run": run.identity.id,
        "title": run.identity.title,
        "status": run.status,
        "created": run.identity.created,
        "source": run.identity.source,
        "settings": dict(run.identity.settings),
        "host": run.identity.host,
        "models": list(run.identity.models),
        "parameters": run.identity.parameters,
        "steps": run.state.get("step"),
        "seconds": run.state.get("seconds"),
        "overhead": run.state.get("overhead"),
        "lost_values": run.state.get("lost"),
        "skipped_bytes": run.skipped,
        "reason": str(run.state.get("reason", "")),
        "series": {name: _series_document(run, name) for name in sorted(run.series)},
        "events": [{**event, "text": sentence(event)} for event in run.events],
    }


def _series_document(run: ForeignRun, name: str) -> dict[str, Any]:
    count, step, values = run.last(name)
    columns = run.series[name][-1].columns
    last = dict(zip(columns, values, strict=True)) if columns else values[0]
    return {"count": count, "step": step, "last": last}


def sentence(event: Mapping[str, Any]) -> str:
    """Return an event of a watched run as a sentence; it comes from outside, and may be anything."""
    step = event.get("step")
    at = f"step {step:,}" if isinstance(step, int) else "an unknown step"
    kind = event.get("kind")
    if kind == "non_finite":
        what = str(event.get("what", ""))
        where = f"The {what} of {event.get('tensor')}" if event.get("tensor") else what
        more = event.get("tensors")
        others = f" and of {more - 1} other tensors" if isinstance(more, int) and more > 1 else ""
        before = event.get("finite_at")
        since = f"; finite at step {before:,}" if isinstance(before, int) else ""
        return f"{where}{others} is not finite at {at}{since}."
    if kind == "spike":
        causes = event.get("causes")
        fits = [
            f"{cause.get('cause')}: {cause.get('because')}"
            for cause in (causes if isinstance(causes, list) else ())
            if isinstance(cause, dict)
        ]
        value = event.get("value")
        jump = (
            f"{event.get('series')} jumped from {_shown(event.get('before'))} to "
            f"{_shown(value) if value is not None else 'a value that is not finite'} at {at}"
        )
        return (
            f"{jump}. "
            + ("; ".join(fits) if fits else "Nothing that was recorded explains it")
            + "."
        )
    if kind == "slice":
        return f"A slice of the loss along the {event.get('direction')} was taken at {at}."
    return f"{kind} at {at}."


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "?"


@dataclass(frozen=True)
class FolderNews:
    """What is new in a folder.

    Attributes:
        folder: that was read. found: id of each run that was not known → where and who it is.
        news: id of a run → what it has recorded. statuses: id of each run that was read → how it
            is. problems: what cannot be read, sentences.
    """

    folder: Path
    found: Mapping[str, tuple[RunSource, RunIdentity]]
    news: Mapping[str, NewValues]
    statuses: Mapping[str, str]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class FolderNewsTask(Task):
    """Read what is new in a folder of runs; the result is a :class:`FolderNews`.

    Attributes:
        folder: to read. known: id of each run that was read before → the run with the place to go
            on from; None for one that has ended.
    """

    folder: Path
    known: Mapping[str, tuple[RunIdentity, Place] | None]

    def run(self, controls: Controls) -> Iterator[FolderNews]:
        """Read it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is no such folder, or it cannot be read.
        """
        identities: dict[str, tuple[RunSource, RunIdentity]] = {}
        news: dict[str, NewValues] = {}
        statuses: dict[str, str] = {}
        if not self.folder.is_dir():
            raise InvalidInput(
                f"There is no folder {self.folder} yet; optlab.watch(model, optimizer) in a training "
                "script makes it.",
                "folder",
            )
        found = find(self.folder)
        problems = list(found.problems)
        for source in found.sources:
            known = self.known.get(source.id, ())
            if known is None:
                continue
            try:
                identity, place = known or (source.identity(), ())
                run = ForeignRun(source, identity, place)
                values = run.read()
            except InvalidInput as error:
                problems.append(str(error))
                continue
            if source.id not in self.known:
                identities[source.id] = (source, identity)
            if values.series or values.events or values.end != place or not known:
                news[source.id] = values
            statuses[source.id] = run.status
        yield FolderNews(self.folder, identities, news, statuses, tuple(problems))
