"""Calls that are clear without a parser: a command, and after it names and flags alone.

typer, and what it imports, takes longer to load than thousands of runs to list. A command that others
wait for declares its function as ``PLAIN``; whatever is not plain goes to typer, help and errors
included.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from optlab.core import walk


def find(words: Sequence[str]) -> Callable[[], None] | None:
    """Return the call that a command line asks for; None where typer has to say.

    Args:
        words: of the command line, after ``optlab``.
    """
    module = f"optlab.cli.{words[0]}" if words else ""
    if module not in walk.modules("optlab.cli"):
        return None
    command = getattr(importlib.import_module(module), "PLAIN", None)
    if command is None:
        return None
    values = bind(command, words[1:])
    return None if values is None else functools.partial(command, **values)


def bind(command: Callable[..., None], words: Sequence[str]) -> dict[str, Any] | None:
    """Return the arguments of a command; None where its words are not plain.

    Args:
        command: whose parameters are flags, which are False by default, and names.
        words: flags as ``--json``, and the names in order.
    """
    parameters = inspect.signature(command).parameters.values()
    flags = {f"--{item.name}": item.name for item in parameters if item.default is False}
    names = [item for item in parameters if item.default is not False]
    given = [word for word in words if not word.startswith("-")]
    required = sum(item.default is inspect.Parameter.empty for item in names)
    if not required <= len(given) <= len(names):
        return None
    values: dict[str, Any] = {item.name: word for item, word in zip(names, given, strict=False)}
    for word in words:
        if word.startswith("-"):
            if word not in flags:
                return None
            values[flags[word]] = True
    return values
