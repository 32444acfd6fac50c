"""``optlab run``: train a file or a preset, and report the result."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, get_args

import typer

from optlab.cli.assignments import assignment, switched
from optlab.cli.follow import Outcome, follow
from optlab.cli.options import Changes, Json
from optlab.cli.output import say, say_json
from optlab.cli.progress import view
from optlab.cli.ranks import Ranks, check_devices, check_ranks, follow_first_rank, shared_by
from optlab.cli.reading_data import own_table, prepare
from optlab.cli.test_part import say_confusion, say_gaps
from optlab.core.errors import InvalidInput
from optlab.core.limits import UNTIL_STOPPED
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.experiment.data_files import experiment_of
from optlab.experiment.named import load
from optlab.experiment.own_code import own_code
from optlab.numerics.gradient_test import gradient_test
from optlab.objective.device import resolve
from optlab.outside.own_models import deferral
from optlab.runners import JobHandle, train
from optlab.runners import resume as go_on
from optlab.runners.train import RunnerChoice, shared_runner
from optlab.store import Store
from optlab.store.spacing import BUDGET
from optlab.tasks.checking import CheckAllTask, CheckTask
from optlab.tasks.run_figures import further_figures
from optlab.tasks.step_modes import in_words
from optlab.tasks.test_part import class_names
from optlab.training.data_parallel import check_shareable

RUNNERS: tuple[RunnerChoice, ...] = get_args(RunnerChoice)

ORDER = 10
"""Rank in the list of commands."""

MAX_MEGABYTES = 1_000_000
"""What ``--snapshots`` may ask for."""

ONLY_STORED = (
    "--changed-data applies to stored runs only; an experiment reads its files as they are."
)
ChangedData = Annotated[
    bool,
    typer.Option(
        "--changed-data",
        help="With a stored run: continue although files that it read have changed since.",
    ),
]
SnapshotBudget = Annotated[
    str,
    typer.Option(
        "--snapshots",
        metavar="MB",
        help=f"Megabytes of snapshots that the run keeps, evenly spaced, so that any of its steps "
        f"can be reached; {BUDGET >> 20} by default.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "run", help=_HELP, short_help="Train an experiment file or a preset, and store the run."
    )(run)


_HELP = (
    "Train an experiment FILE or a PRESET, and store the run.\n\n"
    "Try: optlab run digits-mlp, then optlab run digits-mlp --set optimizer.lr=0.5 --steps 500. "
    "A table of your own is trained as optlab import suggests: optlab run table.csv --set "
    "dataset.target=price --set dataset.missing=mean. "
    "Presets: optlab list presets. "
    "Fields that --set can change: optlab show NAME; all changes are applied together, in any "
    "order. Giving a section another name "
    "(--set optimizer.name=adam) starts it from that component's defaults.\n\n"
    "Ctrl-C stops the run between two steps; it is kept, and --resume continues it. Exit "
    "codes: 0 finished, 1 failed, diverged or "
    "not recorded to its end (a full disk is waited for), 2 bad input (then nothing was stored), "
    "130 stopped by Ctrl-C."
)


def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|PRESET",
            help="An experiment file (TOML), the name of a preset, or a table of your own (CSV, "
            "TSV, NPZ).",
        ),
    ] = "",
    changes: Changes = None,
    steps: Annotated[
        str, typer.Option(metavar="N", help="Number of updates; the same as --set budget.steps=N.")
    ] = "",
    until_stop: Annotated[
        bool,
        typer.Option(
            "--until-stop", help="Go on until Ctrl-C; the same as --set budget.steps=1e12."
        ),
    ] = False,
    seed: Annotated[
        str,
        typer.Option(
            metavar="N", help="Seed of the start and the batches; the same as --set seed=N."
        ),
    ] = "",
    instruments: Annotated[
        list[str] | None,
        typer.Option(
            "--instrument",
            metavar="NAME[:EVERY]",
            help="Switch an instrument on, read every so many steps; may be repeated.",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda|mps", help="Where to compute; the same as --set device=NAME."
        ),
    ] = "",
    runner: Annotated[
        str,
        typer.Option(metavar="|".join(RUNNERS), help="Train in this process or in one of its own."),
    ] = "auto",
    ranks: Ranks = "",
    resume: Annotated[
        str,
        typer.Option(metavar="RUN", help="Resume a stopped or interrupted run, in place of FILE."),
    ] = "",
    changed_data: ChangedData = False,
    no_store: Annotated[bool, typer.Option("--no-store", help="Do not store the run.")] = False,
    snapshots: SnapshotBudget = "",
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    asked = runner_named(runner)
    if json:
        # Libraries warn on standard error, which belongs to the failures.
        warnings.simplefilter("ignore")
    if until_stop and steps:
        raise InvalidInput(
            f"--until-stop and --steps {steps} exclude each other; give one of them.", "steps"
        )
    steps = str(UNTIL_STOPPED) if until_stop else steps
    given = [
        *(changes or []),
        *(
            f"{path}={text}"
            for path, text in (("budget.steps", steps), ("seed", seed), ("device", device))
            if text
        ),
    ]
    given += [change for word in instruments or [] for change in switched(word)]
    number, count = shared_by(ranks, asked)
    if number:
        return follow_first_rank()
    if resume:
        experiment, begin = _resumed(
            resume, source, given, asked, no_store, changed_data, count, snapshot_bytes(snapshots)
        )
    elif changed_data:
        raise InvalidInput(ONLY_STORED, "changed_data")
    else:
        experiment, begin = _fresh(
            source, given, asked, no_store, count, snapshot_bytes(snapshots), silent=json
        )
    outcome = follow(
        begin, Outcome(experiment.title(), ranks=count or 1), view(experiment, silent=json)
    )
    if json:
        say_json(outcome.document())
    else:
        say_result(outcome, experiment)
    if outcome.asked_to_stop and outcome.status in ("stopped", "interrupted"):
        return 128 + outcome.asked_to_stop
    return int(outcome.status in ("diverged", "failed") or outcome.recorded is False)


def runner_named(text: str) -> RunnerChoice:
    """Return the runner that ``--runner`` names.

    Raises:
        InvalidInput: there is no such runner.
    """
    for name in RUNNERS:
        if name == text:
            return name
    raise InvalidInput(
        f"--runner is '{text}', but it must be one of {', '.join(RUNNERS)}.", "runner"
    )


def snapshot_bytes(text: str) -> int:
    """Return the bytes that ``--snapshots`` allows, by default :data:`BUDGET`.

    Raises:
        InvalidInput: the text is not a number of megabytes.
    """
    if not text:
        return BUDGET
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = math.nan
    if not 0.0 <= megabytes <= MAX_MEGABYTES:
        raise InvalidInput(
            f"--snapshots is '{text}', but it must be a number of megabytes from 0 to "
            f"{MAX_MEGABYTES:,}; the first snapshot and the newest two are kept in any case.",
            "snapshots",
        )
    return int(megabytes * 2**20)


def _fresh(
    source: str,
    changes: list[str],
    runner: RunnerChoice,
    no_store: bool,
    ranks: int | None,
    kept: int,
    *,
    silent: bool,
) -> tuple[Experiment, Callable[[], JobHandle]]:
    """Return the requested experiment, checked, and a function that starts it."""
    if not source:
        raise InvalidInput(
            "There is nothing to run; give an experiment file or a preset (optlab list presets), "
            "or --resume with a stored run."
        )
    experiment = _sound(source, changes, runner, ranks, silent=silent)
    where = runner if ranks is None else shared_runner(ranks)

    def begin() -> JobHandle:
        if no_store:
            return train([experiment], runner=where)
        with Store.open() as store:
            store.snapshot_bytes = kept
            return train([experiment], runner=where, store=store)

    return experiment, begin


def _sound(
    source: str, changes: list[str], runner: RunnerChoice, ranks: int | None, *, silent: bool
) -> Experiment:
    """The experiment asked for, checked; in a worker where that executes code of the user's.

    Raises:
        InvalidInput: it is wrong.
        RunFailed: the worker ended.
    """
    tables = own_table(source, dict(map(assignment, changes)), silent=silent)
    if tables is not None:
        # They hold these beside the suggested ones, which the change would undo.
        changes = [change for change in changes if not change.startswith("dataset.columns=")]

    def asked_for(*, check: bool) -> list[Experiment]:
        base = (
            load(source, check=check)
            if tables is None
            else Experiment.from_dict(tables, check=check)
        )
        return [changed(base, changes, check=check)]

    # Where the unchecked experiment is wrong, the checked one says why.
    with contextlib.suppress(InvalidInput):
        prepare(asked_for(check=False)[0].dataset, silent=silent)
    return sound(asked_for, runner, fit_loss=fits_loss(changes), ranks=ranks)[0]


def sound(
    asked_for: Callable[..., list[Experiment]],
    runner: RunnerChoice,
    *,
    fit_loss: bool,
    ranks: int | None = None,
) -> list[Experiment]:
    """Return experiments that are checked; in a worker where that executes code of the user's.

    Args:
        asked_for: returns them; its argument ``check`` is that of
            :meth:`optlab.experiment.Experiment.from_dict`.
        runner: with ``thread``, the code is executed in this process.
        fit_loss: whether a loss that does not suit is replaced.
        ranks: number of processes that will share each batch; None where they do not.

    Raises:
        InvalidInput: one is wrong.
        RunFailed: the worker ended.
    """
    try:
        # What a model of the user's prints when it is tried is no result of the command.
        with (
            contextlib.redirect_stdout(sys.stderr),
            contextlib.nullcontext() if runner == "thread" else deferral.left_to_worker(),
        ):
            experiments = asked_for(check=True)
            check_surroundings(experiments[0], ranks)
            return experiments
    except deferral.ForWorker:
        # Imported here: most runs do not need it.
        from optlab.runners.answer import answer

        unchecked = asked_for(check=False)
        _check_device(unchecked[0])
        documents = [experiment.to_dict() for experiment in unchecked]
        checks = tuple(
            CheckTask(tables, fit_loss=fit_loss, load_data=number == 0, shared=ranks is not None)
            for number, tables in enumerate(documents)
        )
        results = answer(CheckAllTask(checks), lambda text: print(text, end="", file=sys.stderr))
        if results[-1].problem:
            raise InvalidInput(results[-1].problem, results[-1].field) from None
        return [
            Experiment.from_dict({**tables, "loss": result.loss}, check=False)
            for tables, result in zip(documents, results, strict=True)
        ]


def fits_loss(changes: Sequence[str]) -> bool:
    """Return whether a loss that does not suit is replaced: something else was changed than it."""
    return bool(changes) and not any(change.startswith("loss.") for change in changes)


def _resumed(
    run_id: str,
    source: str,
    changes: list[str],
    runner: RunnerChoice,
    no_store: bool,
    changed_data: bool,
    ranks: int | None,
    kept: int,
) -> tuple[Experiment, Callable[[], JobHandle]]:
    """Return the experiment of a stored run, and a function that resumes it."""
    if source or changes or no_store:
        extra = source or (f"--set {changes[0]}" if changes else "--no-store")
        raise InvalidInput(
            f"--resume continues a stored run as it was started, so '{extra}' cannot be combined "
            "with it."
        )
    # Read first: a name that is not there must not create a store.
    with Store.open_readonly() as store:
        record = store.run(run_id)

    def begin() -> JobHandle:
        with Store.open() as store:
            where = runner if ranks is None else shared_runner(ranks)
            store.snapshot_bytes = kept
            return go_on([record.id], runner=where, store=store, changed_data=changed_data)

    experiment = experiment_of(
        record.id,
        record.experiment,
        record.identities,
        changed_data=changed_data,
        # The worker checks what executes code of the user's.
        check=runner == "thread" or not own_code(record.experiment),
    )
    if ranks is not None:
        check_ranks(experiment, ranks)
    return experiment, begin


def changed(experiment: Experiment, changes: list[str], *, check: bool = True) -> Experiment:
    """Return the experiment with all ``path=value`` texts applied together.

    Of two for one path the last one counts.

    Args:
        experiment: to change.
        changes: the texts.
        check: see :meth:`optlab.experiment.Experiment.from_dict`.

    Raises:
        InvalidInput: a text is not of that form, names no field, or the value is not allowed.
    """
    return (
        experiment.with_values(dict(assignment(change) for change in changes), check=check)
        if changes
        else experiment
    )


def check_surroundings(experiment: Experiment, ranks: int | None = None) -> None:
    """Check what depends on this machine, before a run is stored.

    That is whether the device exists, the data can be read, the experiment fits them, and, with
    ``ranks``, whether these can share it.

    Raises:
        InvalidInput: one of these does not hold.
    """
    _check_device(experiment)
    data = experiment.dataset.load()
    experiment.check_data(data)
    if ranks is not None:
        check_devices(experiment, ranks)
        check_shareable(experiment, data)


def _check_device(experiment: Experiment) -> None:
    if experiment.general.device not in ("auto", "cpu"):
        resolve(experiment.general.device, 0, experiment.general.precision)


def say_result(outcome: Outcome, experiment: Experiment) -> None:
    """The result in words."""
    if outcome.status in ("failed", "interrupted"):
        print(
            printable(" ".join(outcome.reason.splitlines())) or "The run failed.", file=sys.stderr
        )
        if outcome.run:
            say(
                f"{outcome.status}: stored as {outcome.run}; resume it with: optlab run --resume "
                f"{outcome.run}{_with_ranks(outcome)}"
            )
        return
    say(f"{printable(outcome.title)}: {outcome.status}, {outcome.reason}")
    speed = f" ({outcome.steps_per_second:,.0f} steps/s)" if outcome.steps_per_second else ""
    say(
        f"  steps              {outcome.steps:,} in {outcome.seconds:.2f} s{speed}, "
        f"{outcome.device}, {f'{outcome.ranks} ranks' if outcome.ranks > 1 else outcome.runner}, "
        f"{in_words(outcome.step_mode or 'ordinary')}"
    )
    for part, label in (
        ("train", "training loss"),
        ("validation", "validation loss"),
        ("test", "test loss"),
    ):
        loss, error = outcome.final.get(f"{part}_loss"), outcome.final.get(f"{part}_error")
        if loss is not None:
            say(
                f"  {label:<18} {loss:.6g}"
                + (f", 0-1 error {error:.2%}" if error is not None else "")
            )
    say_gaps(outcome.final)
    for name, text in further_figures(outcome.final):
        say(f"  {name.lower():<18} {text}")
    norm = outcome.final.get("gradient_norm")
    if norm is not None:
        say(f"  full gradient norm {norm:.4g}")
        say(
            "                     "
            f"{gradient_test(outcome.final.get('gradient_norm_at_start'), norm).sentence}"
        )
    if outcome.confusion:
        say_confusion(
            outcome.confusion,
            class_names(experiment.dataset.load().class_names, len(outcome.confusion)),
        )
    say(f"  weights' SHA-256   {outcome.theta_sha256}")
    if outcome.run:
        say(
            f"  stored as          {outcome.run}"
            + (" (only in part)" if outcome.recorded is False else "")
        )
        if outcome.status == "stopped" or outcome.recorded is False:
            say(f"Resume it with: optlab run --resume {outcome.run}{_with_ranks(outcome)}")


def _with_ranks(outcome: Outcome) -> str:
    return f" --ranks {outcome.ranks}" if outcome.ranks > 1 else ""
