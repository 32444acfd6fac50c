"""Optimizers: update rules as pure functions on ``theta [R, P]``."""

from __future__ import annotations

from optlab.component import Component


def generated() -> tuple[list[type[Component]], dict[str, str]]:
    """Optimizers that are no files here: those of torch and of installed packages; see :mod:`optlab.registry`."""
    from optlab.optimizers._bridge.discovery import found

    rules, refused = found()
    return list(rules), refused
