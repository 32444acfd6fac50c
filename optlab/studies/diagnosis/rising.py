"""A rising loss: the run diverges."""

from __future__ import annotations

import numpy as np

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short

_MIN_STEPS = 60
_MIN_RISE = 2.0


def examine(history: RunHistory) -> Finding | None:
    """Return whether the loss rises (needs ``batch_loss``).

    Batches may become harder while the run improves, as in a curriculum or where examples are
    sorted: an evaluation during the rise on which the training loss has not risen rules it out. So
    does a curvature that hovers at the edge of stability, while the loss is below its start.
    """
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
    if _falls_on_all_examples(history, width):
        return None
    if history.hovering() is not None and now < loss[0]:
        return None
    clip = (
        None
        if history.experiment.clipping.active
        else Remedy("Clip the gradient by its norm", {"clipping.name": "norm"}, live=False)
    )
    return Finding(
        "rising",
        "The loss rises, as it does where steps are too long for the current region.",
        f"The batch loss is {short(now)}; its lowest value was {short(best)}.",
        min(1.0, 0.7 + 0.05 * float(np.log2(now / best))),
        available(history.slower(3.0), clip),
    )


def _falls_on_all_examples(history: RunHistory, width: int) -> bool:
    """Return whether the training loss was evaluated in the last ``width`` steps and is low."""
    steps, _ = history.series["batch_loss"]
    taken, losses = history.series.get("train_loss", (np.zeros(0, np.int64), np.zeros(0)))
    if not len(taken) or taken[-1] <= steps[-1] - width:
        return False
    return bool(losses[-1] < _MIN_RISE * losses.min())
