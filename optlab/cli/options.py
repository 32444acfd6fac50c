"""Options that many commands have, declared once: their flags and the words of their help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from optlab.core.lazy import typer


def json_option(about: str = "", what: str = "One JSON document") -> Any:
    """Return the declaration of ``--json``.

    Args:
        about: what is in it, where that is not plain. what: kind of document.
    """
    more = f": {about}" if about else ""
    return typer.Option("--json", help=f"{what} on standard output, and nothing else there{more}.")


def set_option(example: str = "", help: str = "Change a field", metavar: str = "PATH=VALUE") -> Any:
    """Return the declaration of ``--set``, which may be repeated.

    Args:
        example: a change. help: what the option does. metavar: form of a change.
    """
    such = f", such as {example}" if example else ""
    return typer.Option("--set", metavar=metavar, help=f"{help}{such}; may be repeated.")


if TYPE_CHECKING:
    Json = bool
    Changes = list[str] | None


def __getattr__(name: str) -> Any:
    """Return ``Json``, whether the answer is a JSON document, or ``Changes``, texts ``path=value``.

    They are made when a command asks for them: commands that answer without the parser do not wait
    for it.
    """
    if name == "Json":
        return Annotated[bool, json_option()]
    if name == "Changes":
        return Annotated[list[str] | None, set_option("optimizer.lr=0.1")]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
