"""``optlab watched FOLDER``, or ``optlab FOLDER``: the runs that other programs have recorded there."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from optlab.cli.options import json_option
from optlab.cli.output import say, say_json, say_table
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.outside.foreign_runs.records import ForeignRun, NewValues
from optlab.tasks.watched_runs import WatchedFolder, sentence
from optlab.watch.start import default_folder

ORDER = 72
"""Rank in the list of commands."""
FOLLOW_SECONDS = 1.0
"""Seconds between two readings of a folder that is followed."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("watched", help=_HELP, short_help="List the runs of watched training loops.")(
        watched
    )


_HELP = (
    "List the runs that optlab.watch or another program has recorded in a folder, with their "
    "series and last values: TensorBoard, W&B (its local log), MLflow, Trackio, the Trainer of "
    "Transformers, tables as Lightning's metrics.csv, JSON lines. The folders in it are searched. "
    "optlab FOLDER opens the window on it, or does the same where there is no screen.\n\n"
    "A run that is in progress can be read at any time; --follow goes on until all runs have ended."
)


def watched(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="A folder of runs, or of one; by default that of optlab.watch."
        ),
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Print new values until all runs have ended.")
    ] = False,
    json: Annotated[bool, json_option("runs, series, last values, events")] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: the folder has no watched runs.
    """
    place = Path(folder).expanduser() if folder else default_folder()
    runs = WatchedFolder(place)
    if not place.is_dir():
        raise InvalidInput(
            f"There is no folder {place}; give the one that optlab.watch has written.", "folder"
        )
    if json and follow:
        raise InvalidInput(
            "--json prints one document and --follow goes on; give one of the two.", "follow"
        )
    runs.read()
    if json:
        say_json(runs.document())
        return
    if not runs.runs and not runs.problems and not follow:
        raise InvalidInput(
            f"{place} has no runs that OptLab can read: of optlab.watch, TensorBoard, W&B, MLflow, "
            "Trackio, a Trainer's trainer_state.json, or a table or JSON lines with a column "
            "'step'.",
            "folder",
        )
    for problem in runs.problems.values():
        print(printable(problem), file=sys.stderr)
    for run in runs.runs.values():
        _say_run(run)
    if follow:
        _follow(runs)


def _say_run(run: ForeignRun) -> None:
    identity, state = run.identity, run.state
    facts = [identity.id, identity.title, run.status]
    if identity.created:
        facts.append(f"{datetime.fromisoformat(identity.created).astimezone():%Y-%m-%d %H:%M}")
    facts.append(f"{identity.parameters:,} parameters" if identity.parameters else identity.source)
    overhead = state.get("overhead")
    if isinstance(overhead, float) and math.isfinite(overhead):
        facts.append(f"watching took {100 * overhead:.1f}% of the time")
    say("  ".join(map(printable, facts)))
    rows = []
    for name in sorted(run.series):
        count, step, values = run.last(name)
        rows.append([f"  {name}", f"{step:,}", f"{count:,}", _shown(values)])
    if rows:
        say_table(("Series", "Last step", "Values", "Last value"), rows)
    for event in run.events:
        say(f"  {printable(sentence(event))}")
    lost = state.get("lost")
    if isinstance(lost, int) and lost > 0:
        say(f"  {lost:,} values could not be recorded; see watch.log in the folder of the run.")
    if run.skipped:
        say(f"  {run.skipped:,} bytes of the file are damaged and left out.")


def _shown(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.6g}"
    finite = [value for value in values if math.isfinite(value)]
    span = f"{min(finite):.3g} … {max(finite):.3g}" if finite else "not finite"
    return f"{span} ({len(values)} tensors)"


def _follow(runs: WatchedFolder) -> None:
    """Print what comes, until no run is in progress."""
    while any(run.status in ("running", "silent") for run in runs.runs.values()) or not runs.runs:
        sys.stdout.flush()  # a pipe is followed, too
        time.sleep(FOLLOW_SECONDS)
        for run_id, new in runs.read().items():
            _say_new(run_id, new, several=len(runs.runs) > 1)
    for run in runs.runs.values():
        say(printable(f"{run.identity.id}: {run.status}"))


def _say_new(run_id: str, new: NewValues, *, several: bool) -> None:
    begin = f"{run_id}  " if several else ""
    last: dict[str, Any] = {
        series.name: (int(series.steps[-1]), float(series.values[-1, 0]))
        for series in new.series
        if not series.columns and not series.name.startswith("seconds")
    }
    if last:
        step = max(at for at, _ in last.values())
        numbers = "  ".join(f"{name} {value:.5g}" for name, (_, value) in sorted(last.items()))
        say(printable(f"{begin}step {step:,}  {numbers}"))
    for event in new.events:
        if _is_news(event):
            say(printable(f"{begin}{sentence(event)}"))


def _is_news(event: Mapping[str, Any]) -> bool:
    return event.get("kind") not in ("alive", "ended")
