"""``optlab export``: stored runs, or a study, as a file for other programs and people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optlab.cli.output import say
from optlab.core.errors import InvalidInput
from optlab.store import Store
from optlab.store.export import FORMATS
from optlab.store.export import export as export_runs
from optlab.store.names import STUDY

ORDER = 80
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("export", help=_HELP, short_help="Write stored runs or a study to a file.")(export)


_HELP = (
    "Write the series of a stored RUN to a file: one row a step, one column a series, followed "
    "weights by name. Several RUNs go into one file, which is read and written once: the column "
    "'run' tells them apart, as data frames group them.\n\n"
    "A cell is empty where the series has no value at that step. The file is written whole or not "
    "at all. Parquet also "
    "carries the experiment and the run's end as metadata (of several runs as JSON under "
    "'optlab.runs'), and needs pyarrow.\n\n"
    "tensorboard writes a folder for TensorBoard: in it a folder with an event file for each RUN, in "
    "single precision, as its scalars are.\n\n"
    "In place of RUN, the name of a study (optlab studies): html writes one self-contained page "
    "with question, protocol, charts and verdict (needs: pip install 'optlab[figures]'), csv the "
    "value of each of its runs.\n\n"
    "python writes a script of plain PyTorch that repeats RUN without OptLab, notebook the same in "
    "cells; data and start weights that a few lines do not say are beside it, with the ending .npz. In place of RUN, an "
    "experiment file or a preset. The script is run once before it is handed out, and its final "
    "losses are compared with those of the run. Refused in a sentence: rules that take more than "
    "one gradient a step or do not treat every value by itself (but for those of torch and your "
    "own), runs that were changed while they ran, and forks. Models and optimizers of your own are "
    "imported from a copy of their file beside the script. "
    "safetensors writes the weights under the names of a "
    "state_dict."
)


def export(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...|STUDY",
            help="The names of one or more runs, or the beginning of each; see optlab runs. Or the "
            "name of one study; see optlab studies. For python and notebook also an experiment "
            "file or a preset.",
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="csv|parquet|tensorboard|html|python|notebook|safetensors",
            help="What to write.",
        ),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="PATH", help="The file or folder to write.")],
    series: Annotated[
        list[str] | None,
        typer.Option(
            "--series",
            metavar="NAME",
            help="Write this series only, of csv, parquet or tensorboard; once for each. All without it.",
        ),
    ] = None,
    population: Annotated[
        bool,
        typer.Option("--population", help="All runs that were trained together with RUN."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Run a script once before it is handed out, and compare it with the run.",
        ),
    ] = True,
    changed_data: Annotated[
        bool,
        typer.Option(
            "--changed-data",
            help="Write a script, or weights, although the files that RUN has read have changed.",
        ),
    ] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: ``--series`` is given for something else than a table of runs.
    """
    names = tuple(dict.fromkeys(series or ()))
    if names and (format not in FORMATS or any(run.startswith(STUDY) for run in runs)):
        raise InvalidInput(
            f"--series chooses columns of a table of runs; use it with {' or '.join(FORMATS)}.",
            "series",
        )
    if format in PROGRAMS:
        _export_program(runs, format, to, force=force, check=check, changed_data=changed_data)
        return
    if format == WEIGHTS:
        _export_weights(runs, to, force=force, changed_data=changed_data)
        return
    with Store.open_readonly() as store:
        if any(run.startswith(STUDY) for run in runs):
            _export_study(store, runs, format, to, force)
            return
        if population:
            found = [record.id for run in runs for record in store.population(run)]
            runs = list(dict.fromkeys(found))
        alone = len(runs) == 1 and not population
        table = export_runs(store, runs[0] if alone else runs, format, to, force=force, names=names)
    of = f"run {table.about['run']}" if table.runs is None else f"{len(table.runs):,} runs"
    say(f"{to}: {len(table.steps):,} rows, {len(table.columns)} series of {of}")


PROGRAMS = ("python", "notebook")
"""Formats of programs that repeat a run."""
WEIGHTS = "safetensors"
"""Format of weights."""


def _export_weights(names: list[str], to: Path, *, force: bool, changed_data: bool) -> None:
    from optlab.tasks.weights_export import export_weights

    if len(names) > 1:
        raise InvalidInput("The weights of one run go into one file; name it alone.", "runs")
    with Store.open_readonly() as store:
        record, step = export_weights(store, names[0], to, force=force, changed_data=changed_data)
    say(f"{to}: weights of run {record.id} after {step:,} steps")


def _export_program(
    names: list[str], format: str, to: Path, *, force: bool, check: bool, changed_data: bool
) -> None:
    # Imported here: tables do not need them.
    from optlab.experiment import presets
    from optlab.experiment.named import load
    from optlab.tasks import script_export

    if len(names) > 1:
        raise InvalidInput("One run goes into one script; name it alone.", "runs")
    (name,) = names
    target = script_export.Target(format, to, force=force, tried=check)
    if Path(name).suffix or name in {path.stem for path in presets.files()}:
        done = script_export.export_experiment(load(name), target)
    else:
        with Store.open_readonly() as store:
            done = script_export.export_run(store, name, target, changed_data=changed_data)
    say(f"{done.path}" if done.beside is None else f"{done.path}, which reads {done.beside}")
    for file in done.files:
        say(f"{file}, which it imports")
    if "train_loss" in done.final:
        say(f"It was run once; its final training loss is {done.final['train_loss']:.9g}.")
    if done.largest is not None:
        same = done.largest <= script_export.TOLERANCE
        say(
            f"Its final numbers differ from those of the run by at most {done.largest:.1e}"
            + (
                "."
                if same
                else ": this run amplifies the rounding of its steps. In double precision its "
                f"first {done.steps_in_double_precision:,} steps agree to "
                f"{done.difference_in_double_precision:.1e}."
            )
        )


def _export_study(store: Store, names: list[str], format: str, to: Path, force: bool) -> None:
    # Imported here: runs do not need it.
    from optlab.tasks.study_export import export_study

    if len(names) > 1:
        raise InvalidInput("One study goes into one file; name it alone.", "runs")
    record = export_study(store, names[0], format, to, force=force)
    say(f"{to}: study {record.id}")
