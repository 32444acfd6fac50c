"""The gradient-norm test (row C3): where the loss no longer falls, whether the gradient says that a critical point is near, or rules it out."""

from __future__ import annotations

import numpy as np

from optlab.diagnosis.base import Book, Finding, present, short

_EVALUATIONS = 6
_FLAT = 0.01
_SHRUNK = 0.01
_NOT_SHRUNK = 0.1


def look(book: Book) -> Finding | None:
    """Needs the gradient norm of every step and the training loss at evaluations."""
    norm, training = book.values("gradient_norm"), book.values("train_loss")
    if len(training) < _EVALUATIONS or len(norm) < 100:
        return None
    third = max(2, len(training) // 3)
    before, now = float(training[-2 * third : -third].mean()), float(training[-third:].mean())
    if before - now > _FLAT * abs(before) or now > before * (1.0 + 5.0 * _FLAT):
        return None
    largest, last = float(np.quantile(norm, 0.95)), float(np.median(book.recent("gradient_norm")))
    evidence = f"‖g‖ is {short(last)}, {last / largest:.0%} of what it was at its largest; the training loss went from {short(before)} to {short(now)}."
    if last >= _NOT_SHRUNK * largest:
        return Finding(
            "gradient_norm",
            "The loss no longer falls, but the gradient has not shrunk: whatever holds the run back, it is no local minimum.",
            evidence,
            0.3,
            present(book.slower(3.0)),
        )
    if last < _SHRUNK * largest:
        return Finding(
            "gradient_norm",
            "The gradient has shrunk to insignificance: the run stands near a critical point. Its Hessian (Instruments, Loss landscape) tells which kind.",
            evidence,
            0.2,
        )
    return None
