"""The settings of a race that are no part of a method."""

from __future__ import annotations

from optlab.core.fields import FieldSet, integer, number


class RaceSettings(FieldSet):
    """Length of a race and noise of its gradients."""

    steps: int = integer(
        100,
        "Steps",
        ge=1,
        le=20_000,
        log=True,
        slider=(10, 2000),
        help="Number of steps of each method.",
    )
    noise: float = number(
        0.0,
        "Gradient noise",
        symbol="σ",
        ge=0.0,
        le=1e6,
        slider=(0.0, 5.0),
        help=(
            "Standard deviation of the noise on each component of the gradient; all methods get "
            "the same draws."
        ),
    )
