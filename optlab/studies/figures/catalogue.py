"""The figures that there are, found by walking their folder, in the order of their numbers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from optlab.core import walk
from optlab.core.errors import InvalidInput
from optlab.studies.figures import notes
from optlab.studies.figures.base import Figure


@functools.cache
def figures() -> tuple[Figure[Any], ...]:
    """All figures, by number."""
    classes: list[type[Figure[Any]]] = walk.classes(notes.__name__, Figure)
    found = [figure() for figure in classes]
    return tuple(sorted(found, key=lambda figure: [int(part) for part in figure.number.split(".")]))


def chosen(numbers: Sequence[str]) -> tuple[Figure[Any], ...]:
    """The figures with these numbers, in their own order; all without any.

    Raises:
        InvalidInput: there is none of a number.
    """
    known = [figure.number for figure in figures()]
    for number in numbers:
        if number not in known:
            raise InvalidInput(
                f"--only names figure '{number}', but there are these: {', '.join(known)}.", "only"
            )
    return tuple(figure for figure in figures() if not numbers or figure.number in numbers)
