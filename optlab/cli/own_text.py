"""What the commands for models and for optimizers of one's own have in common."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from optlab.cli.output import say, say_json, say_table
from optlab.core.errors import InvalidInput
from optlab.outside.own_models import records, sources
from optlab.outside.own_models.sources import Source

_A = {records.MODEL: "A model", records.OPTIMIZER: "An optimizer"}

Origin = Annotated[
    str,
    typer.Argument(
        metavar="PATH|MODULE",
        help="A Python file or an importable module; :Class behind it names the class.",
    ),
]
Name = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Name for experiments (own.NAME); by default that of the class."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Confirm without being asked.")]


def to_register(origin: str, name: str, kind: str, *, yes: bool) -> tuple[Source, str] | None:
    """Return the source to register and its name, after showing what will be executed.

    Args:
        yes: whether the user has confirmed it already.

    Returns:
        None where the user does not confirm it, which is said.

    Raises:
        InvalidInput: there is no such file or class, the name cannot be used, or there is no
            terminal to ask on.
    """
    source = sources.find(origin, kind=kind)
    bare = records.checked_name(name or records.name_of(source.cls), kind)
    show_source(source, bare)
    if not yes and not confirmed(kind):
        print("Nothing was executed and nothing registered.", file=sys.stderr)
        return None
    return source, bare


def show_source(source: Source, name: str) -> None:
    """Write what will be executed to standard error."""
    beside = "".join(f"imports  {path}\n" for path in source.files[1:])
    how = f"module   {source.origin} (with the packages around it)\n" if source.imported else ""
    print(
        "This will be executed, now and whenever an experiment on this machine names "
        f"{records.PREFIX}{name}:\n"
        f"{how}file     {source.path}\nSHA-256  {source.sha256}\nclass    {source.cls}\n{beside}It can do "
        "whatever you can do on this machine.",
        file=sys.stderr,
    )


def confirmed(kind: str) -> bool:
    """Ask whether to execute and register what was shown.

    Raises:
        InvalidInput: there is no terminal to ask on.
    """
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"{_A[kind]} is registered only after you have confirmed it, and there is no terminal "
            "to ask on; pass --yes once you have read the file.",
            "yes",
        )
    return typer.confirm("Execute and register it?", err=True)


def list_registered(kind: str, json: bool) -> None:
    """Write what is registered of a kind, and what of it cannot be used; execute nothing."""
    entries = records.read_entries(kind)
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
        say(f"No {kind} of your own is registered; see optlab {kind} register --help.")
    if found:
        rows = [(f"{records.PREFIX}{r.name}", r.cls, r.origin, r.sha256[:16]) for r in found]
        say_table(("Name", "Class", "From", "SHA-256"), rows)
    for name, problem in problems.items():
        say(f"{name} is not available: {problem}")


def forget_registered(name: str, kind: str, json: bool) -> None:
    """Take a registration back, and say so."""
    origin = records.forget(name, kind)
    full = f"{records.PREFIX}{name.removeprefix(records.PREFIX)}"
    if json:
        say_json({"forgotten": full})
    else:
        say(f"{full} is forgotten; {origin or 'its file'} is left alone.")
