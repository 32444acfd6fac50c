"""Optimizers: update rules as pure functions on ``theta [R, P]``."""

from __future__ import annotations

from optlab.core.component import Component


def generated() -> tuple[list[type[Component]], dict[str, str]]:
    """Return the optimizers of torch and of installed packages, and why others are refused.

    They have no files in this folder; :mod:`optlab.core.registry` calls this function.
    """
    from optlab.catalogue.optimizers._bridge.discovery import discover

    rules, refused = discover()
    return list(rules), refused
