"""The summary that the window shows when a run has ended."""

from __future__ import annotations

from optlab.numerics.gradient_test import gradient_test
from optlab.tasks.run_figures import further_figures
from optlab.training.events import RunEnded


def ending(ended: RunEnded) -> str:
    """Return in one sentence how the run ended."""
    return f"{ended.status.capitalize()} after {ended.steps:,} steps: {ended.reason}."


def summary(ended: RunEnded) -> str:
    """Return how the run ended, its final metrics, and the result of the gradient-norm test."""
    final = ended.final
    error, loss, norm = (
        final.get(name) for name in ("validation_error", "train_loss", "gradient_norm")
    )
    test_error, test_loss = final.get("test_error"), final.get("test_loss")
    figures = (
        f" Validation error {error:.2%}."
        if error is not None
        else f" Training loss {loss:.4g}."
        if loss is not None
        else ""
    )
    gap = final.get("test_minus_validation")
    against = "" if gap is None else f" ({gap:+.2%} against validation)".replace("-", "−")
    figures += (
        f" Test error {test_error:.2%}{against}."
        if test_error is not None
        else f" Test loss {test_loss:.4g}."
        if test_loss is not None
        else ""
    )
    further = ", ".join(f"{label} {text}" for label, text in further_figures(final))
    figures += f" {further}." if further else ""
    if norm is not None and ended.status != "diverged":
        result = gradient_test(final.get("gradient_norm_at_start"), norm)
        figures += f" Full gradient norm {norm:.4g}: {result.sentence}."
    return f"{ending(ended)}{figures}"
