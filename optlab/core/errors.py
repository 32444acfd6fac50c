"""Errors that a person reads: what is wrong, where, and what to do about it, in one sentence.

Everything that can go wrong because of input or surroundings is raised as an :class:`OptLabError`;
the surfaces (command line, window) print its message and never a traceback. Any other exception is
a defect of OptLab itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class OptLabError(Exception):
    """A failure with a message for the user.

    ``exit_code`` is what the command line answers with; ``facts`` are added to the document that a
    command with ``--json`` prints.
    """

    exit_code = 1
    facts: Mapping[str, Any] = MappingProxyType({})


class InvalidInput(OptLabError):
    """Something the user gave cannot be used.

    Args:
        message: one sentence that names the place, the value and what is allowed.
        field: dotted path of the offending field (``"optimizer.lr"``), for a form to show the
            message beside it; empty where the message is not about one field.
    """

    exit_code = 2

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class RunFailed(OptLabError):
    """A run ended because of an error (not because it diverged, which is a result)."""


class StoreError(OptLabError):
    """Stored data is damaged, too new, or cannot be written."""


class MissingPart(OptLabError):
    """An optional library or a piece of the system that a command needs is not there."""
