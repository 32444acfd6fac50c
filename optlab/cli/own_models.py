"""``optlab model``.

Models of one's own, registered with a look at what will be executed, listed and forgotten.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from optlab.cli.options import Json, json_option
from optlab.cli.output import say, say_json
from optlab.cli.own_text import Name, Origin, Yes, forget_registered, list_registered, to_register
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.experiment.named import load
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
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=COLUMNS",
            help="What an argument of its forward pass takes, where it takes several: names of "
            "columns, numbers from 1, a range such as 2-5, or * for the others; may be repeated.",
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            metavar="FILE|PRESET",
            help="An experiment on whose data to try it, such as one that optlab import wrote.",
        ),
    ] = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Register a class derived from torch.nn.Module as the model own.NAME.

    Its constructor may take inputs and outputs (numbers) or input_shape (a tuple), which come
    from the data; every other argument needs a default and becomes a field. Nothing is executed
    before you confirm; a file that changes afterwards has to be confirmed again. Buffers that a
    training pass changes (batch normalization), its random numbers (dropout) and frozen parameters
    belong to the run.

    A forward pass may take several tensors, such as numbers and city. What each of them is, --input
    says, or the class itself (inputs = {"numbers": "age, income", "city": "city"}), and
    each experiment can say otherwise (model.inputs); one of which nothing is said takes the column of
    its name, or what the others leave. Columns of the role code arrive as whole numbers.
    """
    shapes, dataset = _tried_on(inputs, outputs, data)
    asked = to_register(origin, name, records.MODEL, yes=yes)
    if asked is None:
        return 1
    source, bare = asked
    task = RegisterTask(
        f"{source.origin}:{source.cls}",
        source.fingerprint,
        bare,
        tuple(shapes),
        tuple(columns or ()),
        dataset,
    )
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
    registration = done.registration
    names = [argument.name for argument in registration.arguments]
    fields = ", ".join([*(["inputs"] if registration.inputs else []), *names]) or "none"
    say(
        f"Registered as {records.PREFIX}{bare}: {done.parameters:,} parameters on inputs of "
        f"shape {list(done.inputs)}; fields: {fields}"
    )
    if registration.inputs:
        taken = "; ".join(registration.columns) or "the columns of their names"
        say(f"Its forward pass takes {', '.join(registration.inputs)}: {taken}")
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


def _tried_on(
    inputs: str, outputs: int, data: str
) -> tuple[Sequence[DataShape], dict[str, Any] | None]:
    """Return shapes of data, and the section of a data set, on which a model is tried."""
    if inputs and data:
        raise InvalidInput("--inputs and --data both say what to try it on; give one.", "data")
    if data:
        section: dict[str, Any] = load(data, check=False).to_dict()["dataset"]
        return (), section
    return (USUAL if not inputs else (_shape(inputs, outputs),)), None


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
