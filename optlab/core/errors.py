"""Errors for the user: what is wrong, where, and what to do, in one sentence.

Everything that can go wrong because of input or environment is raised as an :class:`OptLabError`;
the command line and the window show its message and never a traceback. Any other exception is a
defect of OptLab itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class OptLabError(Exception):
    """A failure with a message for the user.

    ``exit_code`` is the exit code of the command line; ``facts`` are added to the document that a
    command with ``--json`` prints.
    """

    exit_code = 1
    facts: Mapping[str, Any] = MappingProxyType({})


class InvalidInput(OptLabError):
    """Input from the user is not valid.

    Args:
        message: one sentence that names the field, the value and what is allowed.
        field: dotted path of the invalid field (``"optimizer.lr"``), so that a form can show the
            message beside it; "" if the message is not about one field.
    """

    exit_code = 2

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ChangedData(InvalidInput):
    """The files that a stored run has read are not those that are there now.

    Args:
        what: has changed, a sentence.
        advice: how to go on, which the command line adds.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what.removesuffix('.')}; {advice}")
        self.what = what


class RunFailed(OptLabError):
    """A run ended because of an error. Divergence is not an error but a result."""


class StoreError(OptLabError):
    """Stored data is damaged, too new, or cannot be written."""


class MissingPart(OptLabError):
    """An optional library or a part of the system that a command needs is not installed."""
