"""``optlab compare``: stored runs side by side, with what their differences are worth."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from optlab.cli.options import Json
from optlab.cli.output import say, say_json
from optlab.cli.study_text import say_comparison
from optlab.core.errors import InvalidInput
from optlab.store import Store
from optlab.studies.comparison.fields import EffectKind, What
from optlab.tasks.run_comparison import Asked, compare_runs

ORDER = 74
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("compare", help=_HELP, short_help="Compare stored runs.")(compare)


_HELP = (
    "Compare stored RUNs. Runs that differ in nothing but their seeds are one arm; every two arms "
    "are compared, seed by seed where they have the same seeds.\n\n"
    "Try: optlab race digits-mlp --optimizers sgd,adam --seed 1,2,3, then optlab compare with the "
    "names of its runs. One run per arm decides nothing; a study (optlab study) trains as many as "
    "it takes."
)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…", help="Names of runs, or the beginnings of them; see optlab runs."
        ),
    ],
    of: Annotated[
        str,
        typer.Option(
            metavar="MEASURE", help="What is compared: a measure, or a figure of the run's end."
        ),
    ] = "validation_loss",
    what: Annotated[
        str,
        typer.Option(
            metavar="|".join(get_args(What)), help="Which number of the measure is compared."
        ),
    ] = "final",
    target: Annotated[
        float, typer.Option(metavar="X", help="With --what steps_to and the like: the value.")
    ] = 0.0,
    at: Annotated[int, typer.Option(metavar="STEP", help="With --what at: the step.")] = 0,
    effect: Annotated[
        str, typer.Option(metavar="difference|ratio|log-ratio", help="How two arms are compared.")
    ] = "difference",
    margin: Annotated[
        float | None,
        typer.Option(metavar="X", help="The smallest effect that matters; by default any."),
    ] = None,
    level: Annotated[float, typer.Option(metavar="P", help="Confidence of the intervals.")] = 0.95,
    json: Json = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    if effect not in get_args(EffectKind) or effect == "slope":
        raise InvalidInput(
            f"--effect is '{effect}', but it must be one of difference, ratio, log-ratio.", "effect"
        )
    asked = Asked({"what": what, "of": of, "target": target, "step": at}, effect, margin, level)
    with Store.open_readonly() as store:
        result = compare_runs(store, [store.run(name) for name in runs], asked)
    document = {**result.document(), "margin": asked.smallest}
    if json:
        say_json(document)
    else:
        say_comparison(document)
        if result.seeds < 2:
            say("One run per arm decides nothing; give more seeds of each.")
