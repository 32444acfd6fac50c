"""A first-order rule inside another one, for rules that change the gradient or the iterates."""

from __future__ import annotations

from collections.abc import Sequence

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core import registry
from optlab.core.hyperparameters import Hyperparameters


def inner_rule(
    name: str, h: Hyperparameters, common: Sequence[str] = ("lr", "momentum")
) -> tuple[type[Optimizer], Hyperparameters]:
    """Return the first-order rule of this name and its hyperparameters.

    The fields in ``common`` are those of the outer rule, all others have their defaults.
    """
    inner = registry.get(Optimizer, name)
    values = {field: getattr(h, field) for field in common}
    return inner, Hyperparameters(
        **{**inner().values(), **values, "step": h.step, "layout": getattr(h, "layout", None)}
    )
