"""Changes to an experiment as they are typed on the command line."""

from __future__ import annotations

from optlab.core.errors import InvalidInput


def assignment(change: str) -> tuple[str, str]:
    """Return path and value of a ``path=value`` text.

    Raises:
        InvalidInput: the text is not of that form.
    """
    path, equals, value = change.partition("=")
    if not equals or not path.strip():
        raise InvalidInput(
            f"--set is '{change}', but it must be of the form path=value, such as optimizer.lr=0.1."
        )
    return path.strip(), value


def switched(word: str) -> list[str]:
    """Return the changes that ``NAME`` or ``NAME:EVERY`` stands for, as ``path=value`` texts."""
    name, colon, every = word.partition(":")
    return [f"instruments.{name}.every={every}" if colon else f"instruments.{name}=on"]
