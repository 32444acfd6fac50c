"""All figures, discovered by walking their folder, in the order of their numbers."""

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
    """Return all figures, by number."""
    classes: list[type[Figure[Any]]] = walk.classes(notes.__name__, Figure)
    found = [figure() for figure in classes]
    return tuple(sorted(found, key=lambda figure: [int(part) for part in figure.number.split(".")]))


def chosen(numbers: Sequence[str]) -> tuple[Figure[Any], ...]:
    """Return the figures with these numbers, in the order of all figures; all if there are none.

    Raises:
        InvalidInput: there is no figure of a given number.
    """
    known = [figure.number for figure in figures()]
    for number in numbers:
        if number not in known:
            raise InvalidInput(
                f"--only has '{number}', but it must be one of: {', '.join(known)}.", "only"
            )
    return tuple(figure for figure in figures() if not numbers or figure.number in numbers)
