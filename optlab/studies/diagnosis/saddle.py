"""A saddle nearby: a small gradient, and a direction of negative curvature."""

from __future__ import annotations

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short

_MIN_CURVATURE_SHARE = 0.05
_MAX_NORM_SHARE = 0.2


def examine(history: RunHistory) -> Finding | None:
    """Return whether a saddle is near (needs both ends of ``spectrum``, ``full_gradient_norm``)."""
    top, bottom, norm = (
        history.last("spectrum.top"),
        history.last("spectrum.bottom"),
        history.full_norms(),
    )
    if not len(top) or not len(bottom) or norm is None:
        return None
    lowest = float(bottom.min())
    if (
        lowest >= -_MIN_CURVATURE_SHARE * float(top[0])
        or norm.last > _MAX_NORM_SHARE * norm.largest
    ):
        return None
    momentum = None
    if (
        "optimizer.momentum" in history.experiment.live_fields()
        and float(getattr(history.experiment.optimizer, "momentum", 1.0)) < 0.9
    ):
        momentum = Remedy(
            "Raise the momentum to 0.9",
            {"optimizer.momentum": 0.9},
            history.is_live("optimizer.momentum"),
        )
    second = Remedy("Use saddle-free Newton", {"optimizer.name": "saddle_free_newton"}, live=False)
    return Finding(
        "saddle",
        "A saddle is near: the gradient is small, and the loss could fall along a direction of "
        "negative "
        "curvature.",
        f"The smallest eigenvalue is {short(lowest)}, the largest {short(float(top[0]))}; the "
        "norm of the "
        f"full gradient is {norm.last / norm.largest:.0%} of its largest value.",
        0.5,
        available(momentum, second),
    )
