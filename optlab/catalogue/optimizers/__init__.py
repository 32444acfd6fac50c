"""Optimizers: update rules as pure functions on ``theta [R, P]``."""

from __future__ import annotations

from optlab.core.component import Component


def generated() -> tuple[list[type[Component]], dict[str, str]]:
    """Optimizers that are no files here: those of torch and of installed packages; see
    :mod:`optlab.core.registry`.
    """
    from optlab.catalogue.optimizers._bridge.discovery import found

    rules, refused = found()
    return list(rules), refused
