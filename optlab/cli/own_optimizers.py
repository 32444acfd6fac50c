"""``optlab optimizer``.

Optimizers of one's own, registered with a look at what will be executed, listed and forgotten.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from optlab.cli.options import Json, json_option
from optlab.cli.output import say, say_json
from optlab.cli.own_text import Name, Origin, Yes, forget_registered, list_registered, to_register
from optlab.outside.own_models import records
from optlab.outside.own_models.records import OPTIMIZER
from optlab.runners.answer import answer
from optlab.tasks.own_optimizer import RegisterOptimizerTask

_group = typer.Typer(
    help="Register, list and forget optimizers of your own (torch.optim.Optimizer classes).",
    no_args_is_help=True,
)

ORDER = 121
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(
        _group, name="optimizer", short_help="Register, list and forget optimizers of your own."
    )


@_group.command(
    "register", short_help="Register an optimizer of your own, after showing what will be executed."
)
def register_optimizer(
    origin: Origin,
    name: Name = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Register a class derived from torch.optim.Optimizer as the optimizer own.NAME.

    The arguments of its constructor become fields; one that wraps another optimizer gets one of
    torch, which is a field, too. It is tried on a small network, and compared with a loop of plain
    torch. Nothing is executed before you confirm; a file that changes afterwards has to be confirmed
    again.
    """
    asked = to_register(origin, name, OPTIMIZER, yes=yes)
    if asked is None:
        return 1
    source, bare = asked
    task = RegisterOptimizerTask(f"{source.origin}:{source.cls}", source.fingerprint, bare)
    # What the file prints is no result of this command, and it may end its process.
    done = answer(task, lambda text: print(text, end="", file=sys.stderr))
    full = f"{records.PREFIX}{bare}"
    if json:
        say_json(
            {
                **records.document(done.registration),
                "name": full,
                "fields": list(done.fields),
                "difference": done.difference,
                "precision": done.precision,
            }
        )
        return 0
    closure = " Its steps evaluate the loss themselves." if done.closure else ""
    say(
        f"Registered as {full}: its steps are those of a loop of its own (relative difference "
        f"{done.difference:.1e} in {done.precision}), and its runs can be continued.{closure}"
    )
    say(f"Fields: {', '.join(done.fields) or 'none'}")
    say(f'In an experiment file: [optimizer] with name = "{full}"')
    return 0


@_group.command("list", short_help="List the optimizers you have registered.")
def list_optimizers(
    json: Annotated[bool, json_option(what="One JSON array")] = False,
) -> None:
    """List the optimizers you have registered; none of them is executed."""
    list_registered(OPTIMIZER, json)


@_group.command("forget", short_help="Take the registration of an optimizer back.")
def forget_optimizer(
    name: Annotated[str, typer.Argument(help="Its name, with or without own. in front.")],
    json: Json = False,
) -> None:
    """Take the registration of an optimizer back; its file is left alone."""
    forget_registered(name, OPTIMIZER, json)
