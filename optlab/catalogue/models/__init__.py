"""Models: functions of parameters and inputs, written for R runs at once."""

from __future__ import annotations

from optlab.core.component import Component
from optlab.outside.own_models import records


def generated() -> tuple[list[type[Component]], dict[str, str]]:
    """Return the models that are not files of this folder: those that the user has registered.

    See :mod:`optlab.core.registry`.
    """
    from optlab.catalogue.models._own import registered

    models, refused = registered()
    return list(models), refused


def stamp() -> object:
    """Return a value that changes when another model may have been registered."""
    return records.stamp()
