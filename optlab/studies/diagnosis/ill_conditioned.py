"""Ill-conditioning (8.10): the curvature along the gradient makes steps go uphill."""

from __future__ import annotations

from optlab.studies.diagnosis.base import MIN_READINGS, Finding, RunHistory, available, short

_MIN_UPHILL_SHARE = 0.3
"""Share of uphill readings from which the rule speaks."""
_MIN_CONDITION = 10.0
"""Condition number from which a Hessian is called ill-conditioned."""
_RECENT = 20


def examine(history: RunHistory) -> Finding | None:
    """Return whether steps go uphill by their second-order estimate (needs ``conditioning``).

    A rate above the edge of stability is the finding of ``rate_above_edge`` instead, and one at the
    edge that of ``at_edge``: it goes uphill on a well-conditioned Hessian, too.
    """
    trouble, ghg, gg = (history.values(f"conditioning.{name}") for name in ("trouble", "ghg", "gg"))
    if len(trouble) < MIN_READINGS or not len(ghg) or not len(gg):
        return None
    share = float(trouble[-_RECENT:].mean())
    if share < _MIN_UPHILL_SHARE:
        return None
    of_gradient = _of_gradient(history)
    # The instrument's default step, −εg, is not the step of a rule that scales each parameter.
    if of_gradient and not history.experiment.optimizer.along_gradient:
        return None
    rate, edge = history.rate or 0.0, history.stability_edge()
    if (edge is not None and rate > edge.rate) or history.hovering() is not None:
        return None
    first, second = rate * float(gg[-1]), 0.5 * rate**2 * float(ghg[-1])
    condition, spectrum = _condition(history)
    return Finding(
        "ill_conditioned",
        (
            "The Hessian is ill-conditioned: the curvature along the gradient makes steps of this "
            "length go uphill, by the second-order estimate (8.10)."
            if condition >= _MIN_CONDITION
            else "Steps of this length go uphill by the second-order estimate (8.10): the "
            "curvature along them is too large for this learning rate."
        ),
        (
            f"In {share:.0%} of the last readings ½ε²gᵀHg exceeds εgᵀg; in the last one "
            f"{short(second)} against {short(first)}. {spectrum}"
            if of_gradient
            else f"In {share:.0%} of the last readings the predicted change of the step taken is "
            f"positive. {spectrum}"
        ),
        0.8 * share + 0.1,
        available(history.slower(2.0)),
    )


def _of_gradient(history: RunHistory) -> bool:
    """Return whether the readings are of the step −εg rather than of the step taken."""
    return not any(
        instrument.values().get("step") == "taken"
        for instrument in history.experiment.instruments
        if "ghg" in {quantity.name for quantity in instrument.gives}
    )


def _condition(history: RunHistory) -> tuple[float, str]:
    """Return the condition number, NaN if unknown, and a sentence about it."""
    top, bottom = history.last("spectrum.top"), history.last("spectrum.bottom")
    if not len(top):
        return float("nan"), "λ₁ and the condition number were not measured (Hessian eigenvalues)."
    largest = float(top[0])
    if not len(bottom):
        return (
            float("nan"),
            f"λ₁ = {short(largest)}; the condition number was not measured (smallest eigenvalues).",
        )
    smallest = float(bottom.min())
    if smallest <= 0.0:
        return (
            float("nan"),
            f"λ₁ = {short(largest)}; the smallest eigenvalue is {short(smallest)}, so the "
            "Hessian is indefinite and has no condition number.",
        )
    condition = largest / smallest
    shown = f"{condition:,.0f}" if condition >= 100.0 else short(condition)
    return condition, f"λ₁ = {short(largest)}, condition number {shown}."
