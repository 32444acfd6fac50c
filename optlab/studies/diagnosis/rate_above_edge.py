"""A learning rate above the edge of stability, 2/λ₁ for plain gradient descent."""

from __future__ import annotations

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short


def examine(history: RunHistory) -> Finding | None:
    """Return whether the rate is above the edge of stability (needs ``spectrum``).

    It applies to optimizers whose step is a multiple of the gradient, with or without momentum.
    """
    top, rate = history.last("spectrum.top"), history.rate
    optimizer = history.experiment.optimizer
    if not len(top) or rate is None or not optimizer.along_gradient or not top[0] > 0.0:
        return None
    # On a quadratic, heavy-ball momentum is stable up to 2 (1 + α)/λ₁.
    momentum = float(getattr(optimizer, "momentum", 0.0))
    edge = 2.0 * (1.0 + momentum) / float(top[0])
    if rate <= edge:
        return None
    safe = float(f"{0.5 * edge:.2g}")
    live = "optimizer.lr" in history.experiment.live_fields()
    return Finding(
        "rate_above_edge",
        "The learning rate is above the edge of stability: along the direction of largest curvature "
        "each step overshoots the minimum by more than the last.",
        f"ε = {short(rate)}, the edge is {short(edge)} (λ₁ = {short(float(top[0]))}).",
        0.9,
        available(Remedy(f"Lower the rate to {safe:g}", {"optimizer.lr": safe}, live)),
    )
