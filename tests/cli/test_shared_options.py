"""Options that many commands have are the same in each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optlab.cli.parser import command_line


def options(command: Any, flag: str) -> Iterator[Any]:
    """The declarations of a flag in a command and in those below it."""
    for below in getattr(command, "commands", {}).values():
        yield from options(below, flag)
    yield from (one for one in command.params if flag in one.opts)


def test_that_json_and_set_are_declared_alike_in_every_command() -> None:
    whole = command_line([])
    documents, changes = list(options(whole, "--json")), list(options(whole, "--set"))
    assert len(documents) > 30 and len(changes) > 10
    for option in documents:
        assert option.is_flag and option.default is False
        assert " on standard output, and nothing else there" in option.help
    for option in changes:
        assert option.multiple and option.metavar.endswith(("=VALUE", "=VALUE[,VALUE…]"))
        assert option.help.startswith("Change a field") and option.help.endswith("may be repeated.")
