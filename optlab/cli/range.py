"""``optlab range``: find a learning rate and its decay."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from optlab.cli.options import Json, set_option
from optlab.cli.output import say, say_json, say_table
from optlab.cli.run import changed
from optlab.cli.text_plot import plot
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.experiment.named import load
from optlab.studies.tuning.range_test import (
    FIRST,
    LAST,
    STEPS,
    ProgressCallback,
    RangeTest,
    range_test,
)
from optlab.studies.tuning.short_runs import RUNS, ShortRuns, rates_around, short_runs
from optlab.studies.tuning.short_runs import STEPS as SHORT_STEPS

ORDER = 30
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "range",
        help=_HELP,
        short_help="Find a learning rate: range test and short runs side by side.",
    )(find_range)


_HELP = (
    "Find a learning rate for an experiment FILE or a PRESET.\n\n"
    "A range test raises the rate through one short run until the loss explodes. Then rates "
    "around its suggestion are held constant, each in a short run "
    "from the same start on the same batches. The advice is a rate above the one that is best "
    "after the first steps but below instability, and a linear "
    "decay from there. Nothing is stored. Try: optlab range digits-mlp."
)


def find_range(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|PRESET", help="An experiment file (TOML), or the name of a preset."
        ),
    ],
    changes: Annotated[list[str] | None, set_option("optimizer.name=adam")] = None,
    first: Annotated[
        float, typer.Option("--from", metavar="RATE", help="First rate of the range test.")
    ] = FIRST,
    last: Annotated[
        float, typer.Option("--to", metavar="RATE", help="Last rate of the range test.")
    ] = LAST,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of the range test.")] = STEPS,
    count: Annotated[
        int,
        typer.Option(
            "--short-runs",
            metavar="K",
            help="Number of constant rates to compare side by side; 0 for none.",
        ),
    ] = RUNS,
    length: Annotated[
        int, typer.Option("--short-steps", metavar="N", help="Steps of the short runs.")
    ] = SHORT_STEPS,
    json: Json = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    if json:
        # Libraries warn on standard error, which belongs to the failures.
        warnings.simplefilter("ignore")
    if count < 0 or count == 1 or count > 64:
        raise InvalidInput(
            f"--short-runs is {count}, but it must be 0, or from 2 to 64.", "short_runs"
        )
    experiment = changed(load(source), changes or [])
    with _progress_bars(silent=json) as bar:
        test = range_test(experiment, first, last, steps, bar("range test"))
        runs = (
            short_runs(experiment, rates_around(test, count), length, bar("short runs"))
            if count
            else None
        )
    if json:
        say_json(document(experiment, test, runs))
    else:
        _say(experiment, test, runs)


def document(experiment: Experiment, test: RangeTest, runs: ShortRuns | None) -> dict[str, Any]:
    """Both as JSON has them; ``short_runs`` and ``advice`` are null where there is none.

    A loss that is not finite is null.
    """
    return {
        "title": experiment.title(),
        "optimizer": experiment.optimizer.name,
        "range_test": {
            "rates": test.rates.tolist(),
            "losses": test.losses.tolist(),
            "smoothed": test.smoothed.tolist(),
            "steepest": test.steepest,
            "lowest": test.lowest,
            "edge": test.edge,
            "words": test.explanation,
        },
        "short_runs": None
        if runs is None
        else {
            "steps": len(runs.losses),
            "initial_loss": runs.initial,
            "runs": [
                {"rate": float(rate), "train_loss": float(loss), "stable": bool(stable)}
                for rate, loss, stable in zip(runs.rates, runs.train_loss, runs.stable, strict=True)
            ],
            "best": runs.best,
            "unstable": runs.unstable,
            "words": runs.explanation,
        },
        "advice": _advice(runs) or None,
    }


def _advice(runs: ShortRuns | None) -> Mapping[str, Any]:
    """Path → value of the fields that are advised; empty where there is no advice."""
    if runs is None or runs.advised is None:
        return {}
    # As it is shown: what is copied from the terminal is what a program gets.
    rate = float(f"{runs.advised:.3g}")
    return {
        "optimizer.lr": rate,
        "schedule.name": "linear_decay",
        "schedule.tau": runs.tau,
        "schedule.last": runs.last,
    }


def _say(experiment: Experiment, test: RangeTest, runs: ShortRuns | None) -> None:
    say(
        f"{printable(experiment.title())}: smoothed batch loss while the rate rises from {test.rates[0]:.3g} "
        f"to {test.rates[-1]:.3g}\n"
    )
    marks = {"s": test.steepest, "m": test.lowest} | (
        {"e": test.edge} if test.edge is not None else {}
    )
    say(
        "\n".join(
            plot(
                test.rates.tolist(),
                test.smoothed.tolist(),
                marks,
                log_y=float(test.smoothed.max()) > 10.0 * float(test.smoothed.min()) > 0.0,
            )
        )
    )
    say(f"{'':12}s steepest, m minimum" + (", e edge\n" if test.edge is not None else "\n"))
    say(test.explanation)
    if runs is None:
        return
    say(
        f"\nTraining loss after {len(runs.losses):,} steps at constant rates ({runs.initial:.4g} "
        "at the start)\n"
    )
    rows = []
    for rate, loss, stable in zip(runs.rates, runs.train_loss, runs.stable, strict=True):
        remark = {runs.best: "best so far", runs.advised: "advised"}.get(
            float(rate), "" if stable else "too large"
        )
        rows.append((f"{rate:.3g}", f"{loss:.4g}", remark))
    say_table(("Rate", "Training loss", ""), rows, headed=True)
    say(f"\n{runs.explanation}")
    advice = _advice(runs)
    if advice:
        say(
            "\nTo run it, add: "
            + " ".join(f"--set {path}={value}" for path, value in advice.items())
        )


class _ProgressBars:
    """Make a progress callback for each part of the work."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress

    def __call__(self, words: str) -> ProgressCallback | None:
        if self._progress is None:
            return None
        task = self._progress.add_task(words, total=1.0)

        def on_progress(done: float) -> None:
            self._progress.update(task, completed=done)

        return on_progress


@contextmanager
def _progress_bars(*, silent: bool) -> Iterator[_ProgressBars]:
    """A bar on standard error, where that is a terminal."""
    if silent or not sys.stderr.isatty():
        yield _ProgressBars(None)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        yield _ProgressBars(progress)
