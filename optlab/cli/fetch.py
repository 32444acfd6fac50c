"""``optlab fetch``: get a public data set once, for experiments to read from this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from optlab.cli.options import Json
from optlab.cli.output import say, say_json
from optlab.core.errors import InvalidInput
from optlab.outside.datafiles import public_sets

_EVERY_BYTES = 10 * 1024 * 1024
"""Where there is no terminal, a line each time so many bytes have come."""

ORDER = 100
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("fetch", help=_HELP, short_help="Fetch a public data set by name (OpenML).")(fetch)


_HELP = (
    "Fetch the public data set NAME from OpenML and keep it in the data folder.\n\n"
    'Try: optlab fetch credit-g, then optlab run FILE with name = "openml" and set = "credit-g" '
    "below [dataset]. Ctrl-C cancels, "
    "and no partial download is kept. Only this command uses the network; a run never does."
)


def fetch(
    name: Annotated[str, typer.Argument(help="Name of the set at OpenML, such as credit-g.")],
    version: Annotated[int, typer.Option(metavar="N", help="Version of the set.")] = 1,
    json: Json = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    if version < 1:
        raise InvalidInput(
            f"--version is {version}, but it must be a whole number at least 1.", "version"
        )
    path = public_sets.fetch(name, version, None if json else _progress())
    shape = public_sets.shape_of(name, version)
    if json:
        say_json(
            {
                "path": str(path),
                "set": name,
                "version": version,
                "inputs": list(shape.inputs),
                "outputs": shape.outputs,
                "task": shape.task,
            }
        )
        return
    what = f"{shape.outputs} classes" if shape.task == "classes" else "a real-valued target"
    say(f"{name}, version {version}: {shape.width:,} inputs, {what}; kept as {path}")
    say(
        f'In an experiment file: [dataset] with name = "openml", set = "{name}", version = '
        f"{version}"
    )


def _progress() -> public_sets.Progress:
    """Tells how much has come on standard error.

    One line that changes on a terminal, a few lines elsewhere.
    """
    terminal, next_line = sys.stderr.isatty(), _EVERY_BYTES

    def tell(come: int, whole: int | None) -> bool:
        nonlocal next_line
        words = f"{come / 1e6:.1f} MB" + (f" of {whole / 1e6:.1f} MB" if whole else "")
        if terminal:
            print(f"\rfetching: {words} ", end="", file=sys.stderr, flush=True)
        elif come >= next_line:
            next_line = come + _EVERY_BYTES
            print(f"fetching: {words}", file=sys.stderr, flush=True)
        return True

    return tell
