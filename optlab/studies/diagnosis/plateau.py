"""A plateau or a flat valley: small gradients and a loss that is still high but hardly changes."""

from __future__ import annotations

import numpy as np

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short

_MIN_STEPS = 100
_SMALL = 0.05
_FLAT = 0.01


def examine(history: RunHistory) -> Finding | None:
    """Return whether the run is on a plateau (needs ``gradient_norm``, ``train_loss``).

    The norm of batch gradients is used on purpose: on a plateau the gradients of single examples
    vanish as well, while around a minimum with noise only their mean does.
    """
    norm, training = history.values("gradient_norm"), history.values("train_loss")
    if len(norm) < _MIN_STEPS or len(training) < 4:
        return None
    now, largest = float(np.median(history.recent("gradient_norm"))), float(np.quantile(norm, 0.95))
    third = training[-max(3, len(training) // 3) :]
    moved = float(third.max() - third.min())
    # A run with little loss left has converged; a plateau has a loss that is still high.
    if (
        now > _SMALL * largest
        or moved > _FLAT * abs(float(third[-1]))
        or float(training[-1]) < 0.5 * float(training[0])
    ):
        return None
    lr = getattr(history.experiment.optimizer, "lr", None)
    live = history.is_live("optimizer.lr")
    faster = (
        None
        if lr is None
        else Remedy(
            f"Raise the rate to {float(f'{4 * lr:.2g}'):g}",
            {"optimizer.lr": float(f"{4 * lr:.2g}")},
            live,
        )
    )
    # Not RMSProp, which takes longer: the constant under its root is larger than the squared
    # gradient of a plateau.
    adaptive = Remedy(
        "Divide by the size of the gradient (Adam)", {"optimizer.name": "adam"}, live=False
    )
    return Finding(
        "plateau",
        "The gradient is tiny and the loss is still high but hardly changes: the run is on a "
        "plateau, "
        "or at a minimum of this height.",
        f"The norm of the batch gradient is {short(now)}, {now / largest:.1%} of its 95% "
        "quantile over the "
        f"run; the training loss varied by {short(moved)} in the last {len(third)} evaluations.",
        0.55,
        available(faster, adaptive),
    )
