"""``optlab model``.

Models of one's own, registered with a look at what will be executed, listed and forgotten.
"""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from optlab.cli.output import say, say_json, say_table
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.registering import USUAL
from optlab.outside.own_models.sources import Source
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
    origin: Annotated[
        str,
        typer.Argument(
            metavar="PATH|MODULE",
            help="A Python file or an importable module; :Class behind it names the class.",
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Name for experiments (own.NAME); by default that of the class."
        ),
    ] = "",
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
    yes: Annotated[bool, typer.Option("--yes", help="Confirm without being asked.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.")
    ] = False,
) -> int:
    """Register a class derived from torch.nn.Module as the model own.NAME.

    Its constructor may take inputs and outputs (numbers) or input_shape (a tuple), which come
    from the data; every other argument needs a default and becomes a field. Nothing is executed
    before you confirm; a file that changes afterwards has to be confirmed again. Buffers that a
    training pass changes (batch normalization), its random numbers (dropout) and frozen parameters
    belong to the run.
    """
    shapes = USUAL if not inputs else (_shape(inputs, outputs),)
    source = sources.find(origin)
    bare = records.checked_name(name or records.name_of(source.cls))
    _show(source, bare)
    if not yes and not _confirmed():
        print("Nothing was executed and nothing registered.", file=sys.stderr)
        return 1
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
    json: Annotated[
        bool, typer.Option("--json", help="One JSON array on standard output.")
    ] = False,
) -> None:
    """List the models you have registered; none of them is executed."""
    entries = records.read_entries()
    found = sorted(
        (entry.registration for entry in entries if entry.registration is not None),
        key=lambda registration: registration.name,
    )
    problems = {
        f"{records.PREFIX}{entry.label}": entry.problem
        for entry in entries
        if entry.registration is None
    }
    for registration in found:
        try:
            sources.confirmed(registration)
        except InvalidInput as error:
            problems[f"{records.PREFIX}{registration.name}"] = str(error)
    if json:
        say_json(
            [
                {
                    **records.document(registration),
                    "name": f"{records.PREFIX}{registration.name}",
                    "problem": problems.pop(f"{records.PREFIX}{registration.name}", ""),
                }
                for registration in found
            ]
            + [{"name": name, "problem": problem} for name, problem in problems.items()]
        )
        return
    if not entries:
        say("No model of your own is registered; see optlab model register --help.")
    if found:
        rows = [(f"{records.PREFIX}{r.name}", r.cls, r.origin, r.sha256[:16]) for r in found]
        say_table(("Name", "Class", "From", "SHA-256"), rows)
    for name, problem in problems.items():
        say(f"{name} is not available: {problem}")


@_group.command("forget", short_help="Take the registration of a model back.")
def forget_model(
    name: Annotated[str, typer.Argument(help="Its name, with or without own. in front.")],
    json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.")
    ] = False,
) -> None:
    """Take the registration of a model back; its file is left alone."""
    origin = records.forget(name)
    full = f"{records.PREFIX}{name.removeprefix(records.PREFIX)}"
    if json:
        say_json({"forgotten": full})
    else:
        say(f"{full} is forgotten; {origin or 'its file'} is left alone.")


def _show(source: Source, name: str) -> None:
    """What will be executed, on standard error."""
    beside = "".join(f"imports  {path}\n" for path in source.files[1:])
    how = f"module   {source.origin} (with the packages around it)\n" if source.imported else ""
    print(
        "This will be executed, now and whenever an experiment on this machine names "
        f"{records.PREFIX}{name}:\n"
        f"{how}file     {source.path}\nSHA-256  {source.sha256}\nclass    {source.cls}\n{beside}It can do "
        "whatever you can do on this machine.",
        file=sys.stderr,
    )


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise InvalidInput(
            "A model is registered only after you have confirmed it, and there is no terminal to "
            "ask on; pass --yes once you have read the file.",
            "yes",
        )
    return typer.confirm("Execute and register it?", err=True)


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
