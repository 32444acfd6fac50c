"""A learning rate above the edge of stability, 2/λ₁ for plain gradient descent."""

from __future__ import annotations

from optlab.studies.diagnosis.base import Finding, Remedy, RunHistory, available, short


def examine(history: RunHistory) -> Finding | None:
    """Return whether the rate is above the edge (needs ``spectrum`` or ``conditioning``).

    It applies to optimizers whose step is a multiple of the gradient, with or without momentum. A
    run that hovers at the edge is the finding of ``at_edge`` instead.
    """
    edge, rate = history.stability_edge(), history.rate
    if edge is None or rate is None or rate <= edge.rate:
        return None
    if history.hovering() is not None:
        return None
    safe = float(f"{0.5 * edge.rate:.2g}")
    live = history.is_live("optimizer.lr")
    return Finding(
        "rate_above_edge",
        "The learning rate is above the edge of stability: on a quadratic of this curvature each "
        "step would overshoot the minimum by more than the last.",
        f"ε = {short(rate)}, the edge is {short(edge.rate)} (λ₁ = {short(edge.curvature)})."
        if edge.measured
        else f"ε = {short(rate)}, the edge is at most {short(edge.rate)}: λ₁ ≥ "
        f"{short(edge.curvature)}, "
        "the curvature gᵀHg/gᵀg along the gradient (λ₁ itself was not measured).",
        0.9,
        available(Remedy(f"Lower the rate to {safe:g}", {"optimizer.lr": safe}, live)),
    )
