"""``optlab start``: what an initializer does to weights, activations and gradients, layer by layer."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from optlab.cli.options import Json, set_option
from optlab.cli.output import say, say_json, say_table
from optlab.cli.run import changed
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.experiment.named import load
from optlab.studies.tuning.start_table import Spread, StartTable, start_table, start_tables

ORDER = 40
"""Rank in the list of commands."""
_BACKWARD = "Gradients of the loss of each example by the activations"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "start",
        help=_HELP,
        short_help="Show the starting point layer by layer, or compare initializers.",
    )(start)


_HELP = (
    "Show the starting point of an experiment FILE or a PRESET, layer by layer: "
    "weights, activations on the first minibatch, and gradients.\n\n"
    "Activations and gradients should keep their scale from layer to layer; a dead unit is zero "
    "for every example of the minibatch. "
    "Try: optlab start digits-mlp --set model.hidden=64,64,64 --compare "
    "fan_in,normalized,he,orthogonal. Initializers: optlab list initializers."
)


def start(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|PRESET", help="An experiment file (TOML), or the name of a preset."
        ),
    ],
    changes: Annotated[list[str] | None, set_option("initializer.name=he")] = None,
    compare: Annotated[
        str,
        typer.Option(
            metavar="A,B,…", help="Initializers to compare, each with its default fields."
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    if json:
        # Libraries warn on standard error, which belongs to the failures.
        warnings.simplefilter("ignore")
    experiment = changed(load(source), changes or [])
    names = [name.strip() for name in compare.split(",") if name.strip()]
    if compare and len(set(names)) < 2:
        raise InvalidInput(
            f"--compare is '{compare}', but it must name two initializers or more, such "
            "as he,normalized.",
            "compare",
        )
    tables = (
        start_tables(experiment, list(dict.fromkeys(names))) if names else [start_table(experiment)]
    )
    if json:
        say_json({"title": experiment.title(), "starts": [_document(table) for table in tables]})
        return
    say(
        f"{printable(experiment.title())}: start with seed {experiment.general.seed}, on a "
        f"minibatch of {tables[0].examples:,} examples\n"
    )
    if names:
        _say_compared(tables)
    else:
        _say_one(tables[0])


def _document(table: StartTable) -> dict[str, Any]:
    """A table as JSON has it: its attributes; each activation has its dead share with it."""
    found = dataclasses.asdict(table)
    dead = found.pop("dead")
    found["activations"] = [
        {**spread, "dead": dead[spread["name"]]} for spread in found["activations"]
    ]
    return found


def _say_one(table: StartTable) -> None:
    say(f"{table.label}; loss on the minibatch {table.loss:.4g}\n")
    say("Weights")
    say_table(
        ("Tensor", "Shape", "Mean", "Std", "Least", "Most"),
        [_row(spread) for spread in table.weights],
        headed=True,
    )
    say("\nActivations")
    headers = ("Result", "Shape", "Mean", "Std", "Least", "Most", "Dead")
    say_table(
        headers,
        [(*_row(spread), f"{table.dead[spread.name]:.1%}") for spread in table.activations],
        headed=True,
    )
    say("\nGradients")
    say_table(
        ("Tensor", "Shape", "Mean", "Std", "Least", "Most", "Norm"),
        [(*_row(spread), f"{spread.norm:.3g}") for spread in table.gradients],
        headed=True,
    )
    if table.backward:
        say(f"\n{_BACKWARD}")
        say_table(
            ("Result", "Shape", "Mean", "Std", "Least", "Most"),
            [_row(spread) for spread in table.backward],
            headed=True,
        )


def _row(spread: Spread) -> tuple[str, ...]:
    values = (spread.mean, spread.std, spread.least, spread.most)
    return (
        spread.name,
        "×".join(str(extent) for extent in spread.shape),
        *(f"{value:.3g}" for value in values),
    )


def _say_compared(tables: Sequence[StartTable]) -> None:
    names = [table.initializer for table in tables]
    say("Loss on the minibatch")
    say_table(("", *names), [("loss", *(f"{table.loss:.4g}" for table in tables))], headed=True)
    parts: list[tuple[str, Callable[[StartTable], Sequence[Spread]]]] = [
        ("Weights", lambda table: table.weights),
        ("Activations", lambda table: table.activations),
        ("Gradients", lambda table: table.gradients),
        (_BACKWARD, lambda table: table.backward),
    ]
    for heading, part in parts:
        say(f"\n{heading}: standard deviation, and the range in brackets")
        rows = []
        for place, spread in enumerate(part(tables[0])):
            found = [part(table)[place] for table in tables]
            rows.append(
                (
                    spread.name,
                    *(f"{one.std:.3g} [{one.least:.3g}, {one.most:.3g}]" for one in found),
                )
            )
        say_table(("", *names), rows, headed=True)
    say("\nDead units: share that is zero for every example")
    say_table(
        ("", *names),
        [(name, *(f"{table.dead[name]:.1%}" for table in tables)) for name in tables[0].dead],
        headed=True,
    )
