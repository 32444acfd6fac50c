"""Dead or saturated units: their output does not depend on the input, so no gradient passes."""

from __future__ import annotations

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory

_MAX_SHARE = 0.5


def examine(history: RunHistory) -> Finding | None:
    """Return whether most units of a layer are dead or saturated (needs ``activations``)."""
    worst: tuple[float, str, str] | None = None
    for series, state in (("activations.dead", "dead"), ("activations.saturated", "saturated")):
        shares = history.last(series)
        names = history.columns.get(series, ())
        for share, name in zip(shares.tolist(), names, strict=False):
            if share > _MAX_SHARE and (worst is None or share > worst[0]):
                worst = (share, name, state)
    if worst is None:
        return None
    share, name, state = worst
    positive_biases = (
        Remedy("Start with biases of 0.1", {"initializer.bias": 0.1}, live=False)
        if state == "dead"
        else None
    )
    scaled = Remedy(
        "Scale the initial weights on a minibatch", {"initializer.name": "batch_scaled"}, live=False
    )
    slower = history.slower(3.0)
    return Finding(
        "dead_units",
        (
            f"Most units of {name} are dead: their output is zero for every example of the batch, "
            "so they learn nothing from it."
            if state == "dead"
            else f"Most values of {name} are saturated: the activation is nearly flat there, so "
            "little of the gradient passes."
        ),
        f"{share:.0%} of its {'units' if state == 'dead' else 'values'} at the last reading.",
        0.65,
        tuple(remedy for remedy in (positive_biases, scaled, slower) if remedy is not None),
    )
