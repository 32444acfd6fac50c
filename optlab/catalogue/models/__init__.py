"""Models: functions of parameters and inputs, written for R runs at once."""

from __future__ import annotations

from optlab.core.component import Component
from optlab.outside.own_models import records


def generated() -> tuple[list[type[Component]], dict[str, str]]:
    """Models that are no files here: those that the user has registered; see
    :mod:`optlab.core.registry`.
    """
    from optlab.catalogue.models._own import found

    models, refused = found()
    return list(models), refused


def stamp() -> object:
    """Changes when another model may have been registered."""
    return records.stamp()
