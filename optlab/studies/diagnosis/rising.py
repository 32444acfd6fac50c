"""A rising loss: the run diverges."""

from __future__ import annotations

import numpy as np

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short

_MIN_STEPS = 60
_MIN_RISE = 2.0


def examine(history: RunHistory) -> Finding | None:
    """Return whether the loss rises (needs ``batch_loss``)."""
    loss = history.values("batch_loss")
    if len(loss) < _MIN_STEPS:
        return None
    width = max(10, len(loss) // 20)
    medians = np.array([np.median(part) for part in np.array_split(loss, len(loss) // width)])
    best, now = float(medians.min()), float(medians[-1])
    if not best > 0.0 or now <= _MIN_RISE * best:
        return None
    # In logarithms, because a diverging loss grows by a factor in each step.
    logarithms = np.log(np.maximum(loss[-width:], 1e-300))
    spread = float(np.median(np.abs(logarithms - np.median(logarithms))))
    if np.log(now / best) <= 3.0 * spread:
        return None
    clip = (
        None
        if history.experiment.clipping.active
        else Remedy("Clip the gradient by its norm", {"clipping.name": "norm"}, live=False)
    )
    return Finding(
        "rising",
        "The loss rises: the steps are too long for the current region.",
        f"The batch loss is {short(now)}; its lowest value was {short(best)}.",
        min(1.0, 0.7 + 0.05 * float(np.log2(now / best))),
        available(history.slower(3.0), clip),
    )
