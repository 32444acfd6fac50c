"""A saddle nearby: little gradient, and a direction that bends downwards."""

from __future__ import annotations

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short

_BEND = 0.05
_SMALL = 0.2


def examine(history: RunHistory) -> Finding | None:
    """Needs both ends of the Hessian's spectrum, and the full gradient norm from the start on."""
    top, bottom, norm = (
        history.last("spectrum.top"),
        history.last("spectrum.bottom"),
        history.full_norms(),
    )
    if not len(top) or not len(bottom) or norm is None:
        return None
    lowest = float(bottom.min())
    if lowest >= -_BEND * float(top[0]) or norm.last > _SMALL * norm.largest:
        return None
    momentum = None
    if (
        "optimizer.momentum" in history.experiment.live_fields()
        and float(getattr(history.experiment.optimizer, "momentum", 1.0)) < 0.9
    ):
        momentum = Remedy("Raise the momentum to 0.9", {"optimizer.momentum": 0.9})
    second = Remedy("Use saddle-free Newton", {"optimizer.name": "saddle_free_newton"}, live=False)
    return Finding(
        "saddle",
        "A saddle is near: the gradient is small, and a direction bends downwards in which the loss could fall.",
        f"The smallest eigenvalue is {short(lowest)}, the largest {short(float(top[0]))}; the norm of the full gradient is "
        f"{norm.last / norm.largest:.0%} of what it was at its largest.",
        0.5,
        available(momentum, second),
    )
