"""Optimizers: update rules as pure functions on ``theta [R, P]``."""

from __future__ import annotations

from optlab.core.component import Component
from optlab.outside.own_models import records


def generated() -> tuple[list[type[Component]], dict[str, str]]:
    """Return the optimizers of torch, of installed packages and of the user, and why others are refused.

    They have no files in this folder; :mod:`optlab.core.registry` calls this function.
    """
    from optlab.catalogue.optimizers._bridge.discovery import discover
    from optlab.catalogue.optimizers._bridge.own import registered

    rules, refused = discover()
    own, problems = registered()
    return [*rules, *own], {**refused, **problems}


def stamp() -> object:
    """Return a value that changes when another optimizer may have been registered."""
    return records.stamp(records.OPTIMIZER)
