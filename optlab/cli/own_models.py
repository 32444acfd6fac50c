"""``optlab model``.

Models of one's own, registered with a look at what will be executed, listed and forgotten.
"""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from optlab.cli.options import Json, json_option
from optlab.cli.output import say, say_json
from optlab.cli.own_text import Name, Origin, Yes, forget_registered, list_registered, to_register
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.outside.own_models import records
from optlab.outside.own_models.registering import USUAL
from optlab.runners.answer import answer
from optlab.tasks.own_files import RegisterTask

_group = typer.Typer(
    help="Register, list and forget models of your own (torch.nn.Module classes).",
    no_args_is_help=True,
)

ORDER = 120
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(_group, name="model", short_help="Register, list and forget models of your own.")


@_group.command(
    "register", short_help="Register a model of your own, after showing what will be executed."
)
def register_model(
    origin: Origin,
    name: Name = "",
    inputs: Annotated[
        str,
        typer.Option(
            metavar="N,N,…",
            help="Shape of the examples to try it on, such as 1,28,28; by default several.",
        ),
    ] = "",
    outputs: Annotated[
        int,
        typer.Option(
            metavar="N", help="Number of outputs to try it with, where --inputs is given."
        ),
    ] = 10,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Register a class derived from torch.nn.Module as the model own.NAME.

    Its constructor may take inputs and outputs (numbers) or input_shape (a tuple), which come
    from the data; every other argument needs a default and becomes a field. Nothing is executed
    before you confirm; a file that changes afterwards has to be confirmed again. Buffers that a
    training pass changes (batch normalization), its random numbers (dropout) and frozen parameters
    belong to the run.
    """
    shapes = USUAL if not inputs else (_shape(inputs, outputs),)
    asked = to_register(origin, name, records.MODEL, yes=yes)
    if asked is None:
        return 1
    source, bare = asked
    task = RegisterTask(f"{source.origin}:{source.cls}", source.fingerprint, bare, tuple(shapes))
    # What the file prints is no result of this command, and it may end its process.
    done = answer(task, lambda text: print(text, end="", file=sys.stderr))
    if json:
        say_json(
            {
                **records.document(done.registration),
                "name": f"{records.PREFIX}{bare}",
                "parameters": done.parameters,
            }
        )
        return 0
    fields = ", ".join(argument.name for argument in done.registration.arguments) or "none"
    say(
        f"Registered as {records.PREFIX}{bare}: {done.parameters:,} parameters on inputs of "
        f"shape {list(done.inputs)}; fields: {fields}"
    )
    say(f'In an experiment file: [model] with name = "{records.PREFIX}{bare}"')
    return 0


@_group.command("list", short_help="List the models you have registered.")
def list_models(
    json: Annotated[bool, json_option(what="One JSON array")] = False,
) -> None:
    """List the models you have registered; none of them is executed."""
    list_registered(records.MODEL, json)


@_group.command("forget", short_help="Take the registration of a model back.")
def forget_model(
    name: Annotated[str, typer.Argument(help="Its name, with or without own. in front.")],
    json: Json = False,
) -> None:
    """Take the registration of a model back; its file is left alone."""
    forget_registered(name, records.MODEL, json)


def _shape(inputs: str, outputs: int) -> DataShape:
    parts = inputs.split(",")
    if (
        not all(
            re.fullmatch(r"\s*[0-9]{1,10}\s*", part) and 0 < int(part) < 2**31 for part in parts
        )
        or len(parts) > 7
    ):
        raise InvalidInput(
            f"--inputs is '{inputs}', but it must be a shape such as 64 or 1,28,28.", "inputs"
        )
    if not 1 <= outputs <= 1_000_000:
        raise InvalidInput(
            f"--outputs is {outputs}, but it must be a whole number from 1 to 1000000.", "outputs"
        )
    return DataShape(tuple(int(part) for part in parts), outputs, "classes")
