"""``optlab schedule``: the learning rate, and other numbers, over the steps of a run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from optlab.cli.options import Json, set_option
from optlab.cli.output import say, say_json
from optlab.cli.run import changed
from optlab.cli.text_plot import plot
from optlab.core.piecewise_text import GRAMMAR
from optlab.experiment.named import load
from optlab.tasks.schedule_curves import ScheduleCurve, needs_examples, schedule_curves

ORDER = 31
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "schedule",
        help=_HELP,
        short_help="Show the schedules of an experiment as curves.",
    )(show_schedules)


_HELP = (
    "Show the learning rate, and every number with a schedule of its own, over the steps of an "
    "experiment FILE or a PRESET. Nothing is trained.\n\n"
    "A schedule is a line of pieces, separated by semicolons. That of the rate is the field "
    'pieces of the schedule "pieces"; that of any other number is set by its path, such as '
    "schedules.optimizer.momentum. Try: optlab schedule digits-mlp --set schedule.name=pieces "
    '--set "schedule.pieces=from 0%; linear to 100% in 200; cosine to 1% in 1800".\n\n'
    "The pieces are:\n\n\b\n" + GRAMMAR
)


def show_schedules(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|PRESET", help="An experiment file (TOML), or the name of a preset."
        ),
    ],
    changes: Annotated[list[str] | None, set_option("schedule.name=cosine")] = None,
    json: Json = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: the experiment is not valid.
    """
    experiment = changed(load(source), changes or [])
    examples = len(experiment.dataset.load().training) if needs_examples(experiment) else None
    curves = schedule_curves(experiment, examples)
    if json:
        say_json({"schedules": [_document(curve) for curve in curves]})
        return
    if not curves:
        say(f"{experiment.optimizer.label} has no learning rate, and no number has a schedule.")
    for number, curve in enumerate(curves):
        if number:
            say("")
        say(f"{curve.label} ({curve.path}) over {curve.steps[-1] + 1:,} steps")
        if curve.depends:
            say("It changes with the losses of the run; this is its start.")
        for line in plot(curve.steps.tolist(), curve.values.tolist(), {}, log_x=False, log_y=False):
            say(line)


def _document(curve: ScheduleCurve) -> dict[str, Any]:
    return {
        "path": curve.path,
        "steps": curve.steps.tolist(),
        "values": curve.values.tolist(),
        "depends_on_losses": curve.depends,
    }
