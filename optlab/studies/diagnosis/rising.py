"""The loss rises: the run is on its way out."""

from __future__ import annotations

import numpy as np

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short

_MIN_STEPS = 60
_FACTOR = 2.0


def examine(history: RunHistory) -> Finding | None:
    """Needs the batch loss only."""
    loss = history.values("batch_loss")
    if len(loss) < _MIN_STEPS:
        return None
    width = max(10, len(loss) // 20)
    pieces = np.array([np.median(part) for part in np.array_split(loss, len(loss) // width)])
    best, now = float(pieces.min()), float(pieces[-1])
    if not best > 0.0 or now <= _FACTOR * best:
        return None
    # In logarithms, because a loss that goes out does so by a factor a step.
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
        "The loss rises: the steps are too long for where the run is now.",
        f"The batch loss is {short(now)}, after {short(best)} at its best.",
        min(1.0, 0.7 + 0.05 * float(np.log2(now / best))),
        available(history.slower(3.0), clip),
    )
