"""The gradient-norm test (row C3): whether the norm of the full gradient shrank to insignificance
against its value at the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

SHRUNK = 0.05
"""Share of its value at the start up to which a norm counts as insignificant.

Along a direction of curvature λ the loss lies g²/2λ above its minimum, so a twentieth of the norm
leaves a four-hundredth of what there was to gain. It is not less, because stochastic steps of a
constant rate never settle: they go on around a minimum with a full gradient of a few hundredths.
"""
NOT_SHRUNK = 0.1
"""Share from which on a norm counts as not shrunk, so that the test rules a critical point out.

Between the two it decides nothing.
"""

Outcome = Literal["shrunk", "not shrunk", "undecided"]

_SENTENCES: dict[Outcome, str] = {
    "shrunk": "the run is close to a critical point, of a kind that its Hessian tells",
    "not shrunk": "the run is not at a critical point, so no local minimum is what holds it back",
    "undecided": "the gradient-norm test decides nothing",
}


@dataclass(frozen=True)
class GradientTest:
    """What the test says.

    ``share``: the norm against its value at the start; None where one of them is not known, or the
    start's is zero.
    """

    outcome: Outcome
    share: float | None
    reason: str

    @property
    def sentence(self) -> str:
        """The verdict in words, without a full stop."""
        return f"{self.reason}: {_SENTENCES[self.outcome]}"


def gradient_test(
    start: float | None, now: float | None, largest: float | None = None
) -> GradientTest:
    """Judge the norm of the full gradient.

    Args:
        start: its value at the start; None where it was not measured. now: the latest value.
        largest: the largest value measured so far. A run that starts near a saddle has a small norm
            at the start, against which no later norm is small: it counts as not shrunk only if it
            is not small against the largest, either.
    """
    if start is None or now is None or not (math.isfinite(start) and math.isfinite(now)):
        return GradientTest(
            "undecided", None, "the norm of the full gradient is not known at the start and now"
        )
    if start == 0.0:
        return GradientTest(
            "undecided",
            None,
            "the full gradient is zero at the start, where the run stands at a critical point already",
        )
    share = now / start
    words = f"the full gradient is {share:.2%} of what it was at the start"
    if share <= SHRUNK:
        return GradientTest("shrunk", share, words)
    if now >= NOT_SHRUNK * max(start, largest or 0.0):
        return GradientTest("not shrunk", share, words)
    return GradientTest("undecided", share, words)
