"""``optlab bench``: how fast OptLab is here, against what a user would pick instead."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Annotated

import typer

from optlab.benchmarks.benchmark import Row
from optlab.benchmarks.table import BENCHMARKS, named
from optlab.cli.options import Json
from optlab.cli.output import say, say_json
from optlab.core.errors import InvalidInput
from optlab.core.spawning import usable_cores

ORDER = 96
"""Rank in the list of commands."""
_MOST_TURNS = 1000


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("bench", help=_HELP, short_help="Measure speed against other ways.")(bench)


_HELP = (
    "Measure how many times as fast OptLab is as what one would write or use instead. Both do the "
    "same work in turns on this machine, and their results are compared: a figure whose losses "
    "differ counts for nothing.\n\n"
    "NAMEs: " + ", ".join(benchmark.name for benchmark in BENCHMARKS) + "; by default all.\n\n"
    "Exit codes: 0, whether targets are met or not; 1 if results differ; 2 bad input."
)


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Which benchmarks.")
    ] = None,
    turns: Annotated[
        int, typer.Option(metavar="N", help="Turns of each; the ratio is their median.")
    ] = 3,
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: there is no such benchmark, or no turn is asked for.
    """
    if not 1 <= turns <= _MOST_TURNS:
        raise InvalidInput(f"--turns is {turns}, but it must be from 1 to {_MOST_TURNS}.", "turns")
    rows: list[Row] = []
    for benchmark in named(names or []):
        print(f"{benchmark.name}: {benchmark.work} …", file=sys.stderr, flush=True)
        rows.append(benchmark().measure(turns))
        if not json:
            _say_row(rows[-1])
    if json:
        say_json(
            {
                "turns": turns,
                "cores": usable_cores(),
                "machine": platform.processor() or platform.machine(),
                "torch": importlib.metadata.version("torch"),
                "rows": [row.document() for row in rows],
            }
        )
    return int(not all(row.agrees for row in rows))


def _say_row(row: Row) -> None:
    say(
        f"{row.name}: {row.ratio:.2f} times as fast as {row.opponent} "
        f"({row.lowest:.2f} to {row.highest:.2f}); {row.ours:,.1f} against {row.theirs:,.1f}"
    )
    reached = "reached" if row.met else "not reached"
    losses = "the results agree" if row.agrees else "the results DIFFER, so the figure says nothing"
    say(
        f"  the target of {row.target:g} is {reached}; {losses} "
        f"(largest relative difference {row.difference:.1e})"
    )
