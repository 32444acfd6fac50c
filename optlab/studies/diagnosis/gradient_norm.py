"""The gradient-norm test (row C3).

Whether a run whose loss no longer falls is near a critical point, judged by the norm of the full
gradient.

Minibatch norms are not used: at a minimum they stay as large as their noise.
"""

from __future__ import annotations

from optlab.numerics.gradient_test import gradient_test
from optlab.studies.diagnosis.base import Finding, RunHistory, available, short

_EVALUATIONS = 6
_FLAT = 0.01


def examine(history: RunHistory) -> Finding | None:
    """Return the result of the test (needs ``full_gradient_norm`` and ``train_loss``)."""
    norm, training = history.full_norms(), history.values("train_loss")
    if norm is None or len(training) < _EVALUATIONS:
        return None
    third = max(2, len(training) // 3)
    before, now = float(training[-2 * third : -third].mean()), float(training[-third:].mean())
    if before - now > _FLAT * abs(before) or now > before * (1.0 + 5.0 * _FLAT):
        return None
    test = gradient_test(norm.start, norm.last, norm.largest)
    evidence = (
        f"The norm of the full gradient is {short(norm.last)} after {norm.step:,} steps, "
        f"{norm.last / norm.start:.2%} of its initial value {short(norm.start)}; the training loss "
        f"went from {short(before)} to {short(now)}."
        if norm.start > 0.0
        else ""
    )
    if test.outcome == "not shrunk":
        return Finding(
            "gradient_norm",
            "The loss no longer falls, but the full gradient has not shrunk: the run is not at a "
            "critical point. Either steps that are too large or too noisy keep it circling around "
            "one, which a smaller rate shows, or something other than a local minimum stops it.",
            evidence,
            0.3,
            available(history.slower(3.0)),
        )
    if test.outcome == "shrunk":
        return Finding(
            "gradient_norm",
            "The full gradient has become negligible: the run is close to a critical point, or on "
            "the way to a limit at infinity, as on separable classes. The search for a critical "
            "point (Instruments, Loss landscape) shows which.",
            evidence,
            0.2,
        )
    return None
