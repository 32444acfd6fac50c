"""Gradient noise: a step depends mostly on the choice of the batch."""

from __future__ import annotations

import numpy as np

from optlab.studies.diagnosis.base import (
    MIN_READINGS,
    Finding,
    Remedy,
    RunHistory,
    available,
    short,
)

_MIN_SIGNAL = 0.3
_FLAT = 0.02


def examine(history: RunHistory) -> Finding | None:
    """Return whether noise dominates where the loss is level (needs ``gradient_noise``)."""
    ratio, scale = (
        history.values("gradient_noise.signal_to_noise"),
        history.values("gradient_noise.noise_scale"),
    )
    training = history.values("train_loss")
    if len(ratio) < MIN_READINGS or len(training) < 2 * MIN_READINGS:
        return None
    signal = float(np.median(ratio[-10:]))
    before, now = (
        float(training[-2 * MIN_READINGS : -MIN_READINGS].mean()),
        float(training[-MIN_READINGS:].mean()),
    )
    if signal >= _MIN_SIGNAL or before - now > _FLAT * abs(before):
        return None
    size = history.experiment.batches.size
    larger = (
        Remedy(f"Use batches of {4 * size}", {"batches.size": float(4 * size)}, live=False)
        if size
        else None
    )
    wanted = (
        (
            f" At a batch size of about {float(np.median(scale[-10:])):,.0f}, signal and noise are "
            "equal."
        )
        if len(scale) and np.median(scale[-10:]) > 0
        else ""
    )
    return Finding(
        "noise",
        (
            "Noise dominates: the steps follow the noise of single batches, and the training loss "
            "no longer falls."
        ),
        f"The signal-to-noise ratio of a batch gradient is {short(signal)}.{wanted}",
        0.5,
        available(history.slower(4.0), larger),
    )
