"""Which parts of an experiment execute code that does not belong to OptLab, and its failures."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optlab.core import registry, toml
from optlab.core.errors import InvalidInput
from optlab.outside.own_models.sources import explained


def own_code(document: str) -> tuple[str, ...]:
    """Return the parts that execute code of the user's or of another package.

    Nothing of it is executed, unless listing the optimizers imports the packages that register some.

    Args:
        document: the experiment as TOML.

    Returns:
        Texts as "model.name is 'own.net'"; empty where there are none, or the document is invalid,
        which is reported when it is read.
    """
    try:
        return own_code_of(toml.parse(document))
    except toml.TOMLProblem:
        return ()


def own_code_of(tables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the same as :func:`own_code` for the tables of a document."""
    found: list[str] = []
    for kind, section in registry.sections().items():
        table = tables.get(kind)
        if section.per_experiment != "one" or not isinstance(table, dict):
            continue
        try:
            component = registry.get(kind, table.get("name", ""))
        except InvalidInput:
            continue
        if component.own_modules:
            found.append(f"{kind}.name is '{component.name}'")
    return tuple(found)


def blame(error: BaseException, parts: tuple[str, ...] = ()) -> str:
    """Return a sentence about an error that came from code that does not belong to OptLab.

    Args:
        error: that was raised.
        parts: those of :func:`own_code` that were in use, where they are known: an error of the
            backward pass does not say in which operation of the model it was.

    Returns:
        The sentence; "" where the error came from OptLab itself.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, line in reversed(frames):
        owner = _owner(str(frame.f_globals.get("__name__", "")))
        if owner:
            place = f"{Path(frame.f_code.co_filename).name}, line {line}"
            return f"{owner}: its code failed with {explained(error)} ({place})."
    deepest = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    models = [part for part in parts if part.startswith("model.")]
    if models and deepest.startswith("torch.autograd"):
        return f"{models[0]}: its backward pass failed with {explained(error)}."
    return ""


def _owner(module: str) -> str:
    for kind in registry.kinds():
        for component in registry.components(kind):
            for own in component.own_modules:
                if module == own or module.startswith(f"{own}."):
                    return f"{kind}.name is '{component.name}'"
    return ""
