"""All figures, discovered by walking their folder, in the order of their numbers."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.studies.figures import notes
from optlab.studies.figures.base import Figure


@functools.cache
def figures() -> tuple[Figure[Any], ...]:
    """Return all figures, sorted by number."""
    found: list[Figure[Any]] = []
    for module_info in pkgutil.iter_modules(notes.__path__):
        module = importlib.import_module(f"{notes.__name__}.{module_info.name}")
        found += [
            value()
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, Figure)
            and value.__module__ == module.__name__
            and not inspect.isabstract(value)
        ]
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
