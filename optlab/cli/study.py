"""``optlab study``: train the runs of a study and decide its statement.

What trains and decides is imported when the workers have been started, which import torch meanwhile.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from optlab.cli.options import Json
from optlab.core import paths, toml
from optlab.core.reading import read_at_most
from optlab.core.spawning import Spawned, spawn, usable_cores

ORDER = 22
"""Rank in the list of commands."""
_WORKER, _WARM = "optlab.runners.worker:work", "optlab.runners.worker:import_libraries"
_MANY_RUNS = 24
"""Runs of a study from which a worker is started for each core, before more is known of it."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("study", help=_HELP, short_help="Decide a question by comparing many runs.")(study)


_HELP = (
    "Train the runs of a study, compare its arms, and say whether its statement is supported, "
    "contradicted or undecided here. The runs are stored like any others.\n\n"
    "Try: optlab study nesterov-vs-momentum, then the same with --seeds 32. Studies that ship with "
    "OptLab: optlab list studies. Stored ones: optlab studies.\n\n"
    "Ctrl-C stops the study between two steps; --resume goes on with it. Exit codes: 0 the study "
    "is finished, whatever its verdict, 1 it failed, 2 bad input (then nothing was stored), 130 "
    "stopped by Ctrl-C."
)


def study(  # noqa: PLR0913 - each argument is an option of the command
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME", help="A study file (TOML), or the name of a shipped study."
        ),
    ] = "",
    seeds: Annotated[
        str,
        typer.Option(metavar="N", help="Runs of each arm, in place of the number in the file."),
    ] = "",
    first: Annotated[
        str,
        typer.Option(
            metavar="N", help="Master seed; another one repeats the study on fresh seeds."
        ),
    ] = "",
    runner: Annotated[
        str,
        typer.Option(
            metavar="auto|thread|process",
            help="Train in worker processes, one per core, or in this process.",
        ),
    ] = "auto",
    cluster: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Train on a cluster by Dask: local:N, tls://HOST:PORT, tcp://127.0.0.1:PORT, or a "
            "FILE.yaml with scheduler and certificates; needs: pip install 'optlab[cluster]'.",
        ),
    ] = "",
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="With --cluster: reach another machine without encryption."
        ),
    ] = False,
    resume: Annotated[
        str,
        typer.Option(metavar="STUDY", help="Go on with a stored study, in place of FILE."),
    ] = "",
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="Train the runs that decide one at a time, and tell their seconds to the target.",
        ),
    ] = False,
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
        RunFailed: the study failed.
    """
    spawned = [] if cluster or resume else _early_workers(source, runner)
    try:
        from optlab.cli.study_conduct import Request, conduct_study

        request = Request(source, seeds, first, runner, cluster, insecure, resume, alone, json)
        return conduct_study(request, spawned)
    finally:
        for process in spawned:
            process.end()


def _early_workers(source: str, runner: str) -> list[Spawned]:
    """Start the workers that the study will need, as far as a glance at its file says.

    A small study gets one, which has imported torch before this process would have; none where
    this process has it already.
    """
    if runner not in ("auto", "process") or (runner == "auto" and "torch" in sys.modules):
        return []
    runs = _runs(source)
    if runs is None:
        return []
    cores = usable_cores()
    try:
        return [
            spawn(_WORKER, _WARM)
            for _ in range(cores if runs >= _MANY_RUNS or runner == "process" else 1)
        ]
    except OSError:
        return []  # the runner says it, where it needs them


def _runs(source: str) -> int | None:
    """Return about how many runs a study has; None where there is no such study."""
    path = Path(source)
    try:
        if not path.is_file():
            path = paths.studies() / f"{source}.toml"
        content = read_at_most(path, toml.LARGEST_DOCUMENT)
        tables: Any = toml.parse((content or b"").decode("utf-8-sig"))
        return len(tables["arms"]) * int(tables.get("seeds", {}).get("count", 1))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, toml.TOMLProblem):
        return None
