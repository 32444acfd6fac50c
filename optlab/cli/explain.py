"""``optlab explain``: one step of a stored run, the lines of its rule with the numbers in them."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Any

import typer

from optlab.cli.fork import LAST, step_named
from optlab.cli.options import Json
from optlab.cli.output import say, say_json
from optlab.cli.run import ChangedData
from optlab.core.plain_math import plain
from optlab.history.explaining import ExplainedLine, Quantity, StepExplanation, shown
from optlab.history.plan import Plan
from optlab.tasks.history import ExplainTask
from optlab.training.control import Inbox

ORDER = 76
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "explain", help=_HELP, short_help="Show one step of a stored run with its numbers."
    )(explain)


_HELP = (
    "Show one step of a stored RUN: the lines of its update rule with the numbers of the step in "
    "them, for one parameter, and the norms of all.\n\n"
    "The step is taken again by the rule's own code, from the snapshot before it; the numbers are "
    "those that the code computes. Try: optlab run digits-adam, then optlab explain with the id "
    "that it prints, --at 100."
)


def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or its beginning.")],
    at: Annotated[
        str,
        typer.Option(metavar="STEP", help="Number of the step, from 1; by default the last."),
    ] = LAST,
    parameter: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Parameter to show, such as layers.0.weight[3,5]; by default the one that moves "
            "most.",
        ),
    ] = "",
    changed_data: ChangedData = False,
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: there is no such run, step or parameter.
        StoreError: the run cannot be read.
    """
    task = ExplainTask(run, step_named(at), changed_data=changed_data, parameter=parameter)
    found: Any = None
    for found in task.run(Inbox()):
        if isinstance(found, Plan) and found.announcement and not json:
            print(f"{found.announcement} Ctrl-C cancels.", file=sys.stderr, flush=True)
    assert isinstance(found, StepExplanation)
    if json:
        say_json(document(found))
    else:
        _say(found)
    return 0


def document(found: StepExplanation) -> dict[str, Any]:
    """Return an explanation as it is written to JSON; lines have their text beside the LaTeX."""
    return {
        **dataclasses.asdict(found),
        "lines": [
            {**dataclasses.asdict(line), "text": _text(line), "with_numbers": _numbers(line)}
            for line in found.lines
        ],
    }


def _text(line: ExplainedLine) -> str:
    return plain(line.latex)


def _numbers(line: ExplainedLine) -> str | None:
    return plain(line.numbers) if line.numbers else None


def _say(found: StepExplanation) -> None:
    say(f"Step {found.step:,} of run {found.run}, {found.optimizer}: {found.parameter}")
    say(
        f"  loss on the batch {found.loss:.6g}, gradient norm {found.gradient_norm:.6g}, "
        f"update norm {found.update_norm:.6g}"
    )
    for quantity in found.quantities:
        say(f"  {quantity.symbol:<4} {_value(quantity):<14} {_about(quantity)}")
    say("")
    for line in found.lines:
        say(f"  {_text(line)}")
        numbers = _numbers(line)
        if numbers:
            say(f"      = {numbers}")
        if line.value is not None:
            say(f"      = {_number(line.value)}{_norm(line.norm)}")
        elif line.norm is not None:
            say(f"      with norm {_number(line.norm)}")
    change = found.after - found.before
    say(f"  {found.parameter}: {found.before:.9g} → {found.after:.9g} ({change:+.3g})")
    for note in found.notes:
        say(f"  {note}")
    if found.exact is False:
        say("  Computed again, it is close to the step of the run, but not the same bit for bit.")


def _value(quantity: Quantity) -> str:
    return "–" if quantity.value is None else _number(quantity.value)


def _number(value: float) -> str:
    return plain(shown(value))


def _about(quantity: Quantity) -> str:
    return f"{quantity.meaning}{_norm(quantity.norm)}"


def _norm(norm: float | None) -> str:
    return "" if norm is None else f"   (norm of all {_number(norm)})"
