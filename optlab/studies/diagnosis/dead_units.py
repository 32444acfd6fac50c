"""Dead or saturated units: they give the same whatever comes in, so no gradient passes them."""

from __future__ import annotations

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory

_MANY = 0.5


def examine(history: RunHistory) -> Finding | None:
    """Needs the activations instrument."""
    worst: tuple[float, str, str] | None = None
    for series, words in (("activations.dead", "dead"), ("activations.saturated", "saturated")):
        shares = history.last(series)
        names = history.columns.get(series, ())
        for share, name in zip(shares.tolist(), names, strict=False):
            if share > _MANY and (worst is None or share > worst[0]):
                worst = (share, name, words)
    if worst is None:
        return None
    share, name, words = worst
    alive = (
        Remedy("Start with biases of 0.1", {"initializer.bias": 0.1}, live=False)
        if words == "dead"
        else None
    )
    scaled = Remedy(
        "Scale the start on a minibatch", {"initializer.name": "batch_scaled"}, live=False
    )
    slower = history.slower(3.0)
    return Finding(
        "dead_units",
        f"Most of {name} is {words}: those units give the same whatever comes in, and learn nothing.",
        f"{share:.0%} of them, at the last reading.",
        0.65,
        tuple(remedy for remedy in (alive, scaled, slower) if remedy is not None),
    )
