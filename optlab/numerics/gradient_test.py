"""The gradient-norm test (row C3): whether a run has reached a critical point.

A gradient that has not shrunk rules a critical point out, though not that the run circles around
one, as steps of a constant rate do in the noise of their batches. One that has shrunk does not prove one: on
separable classes the cross-entropy falls toward a limit at infinity and has no critical point. The
test compares the norm of the full gradient with its value at the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

SHRUNK = 0.05
"""Share of its value at the start up to which a norm counts as insignificant.

Along a direction of curvature λ the loss is g²/2λ above its minimum, so at a twentieth of the norm
a four-hundredth of the possible decrease remains. The bound is not smaller because stochastic steps
with a constant rate never converge: around a minimum, the full gradient keeps a norm of a few
hundredths of its first value.
"""
NOT_SHRUNK = 0.1
"""Share above which a norm counts as not shrunk, which rules out a critical point.

Between the two bounds the test is undecided.
"""

Result = Literal["shrunk", "not shrunk", "undecided"]

_SENTENCES: dict[Result, str] = {
    "shrunk": "the run is close to a critical point, or on the way to a limit at infinity; the "
    "search for a critical point shows which",
    "not shrunk": "the run is not at a critical point; it is not stuck in a local minimum, although "
    "steps that are too large or too noisy may keep it circling around one",
    "undecided": "the gradient-norm test is inconclusive",
}


@dataclass(frozen=True)
class GradientTest:
    """Result of the test.

    Attributes:
        outcome: the result as a key word.
        share: the norm divided by its value at the start; None if one of them is unknown or the
            latter is zero.
        reason: the numbers behind the result, as a clause.
    """

    outcome: Result
    share: float | None
    reason: str

    @property
    def sentence(self) -> str:
        """The result as a sentence without a full stop."""
        return f"{self.reason}: {_SENTENCES[self.outcome]}"


def gradient_test(
    start: float | None, now: float | None, largest: float | None = None
) -> GradientTest:
    """Compare the norm of the full gradient with its value at the start.

    Args:
        start: value at the start; None if it was not measured.
        now: latest value; None if there is none.
        largest: largest value so far. A run that starts near a saddle point has a small norm at
            the start, compared with which no later norm is small; a norm then counts as not shrunk
            only if it is not small compared with the largest one, either.
    """
    if start is None or now is None or not (math.isfinite(start) and math.isfinite(now)):
        return GradientTest(
            "undecided",
            None,
            "the norm of the full gradient is not known both at the start and now",
        )
    if start == 0.0:
        return GradientTest(
            "undecided",
            None,
            "the full gradient is zero at the start, so the run starts at a critical point",
        )
    share = now / start
    reason = f"the full gradient is {share:.2%} of what it was at the start"
    if share <= SHRUNK:
        return GradientTest("shrunk", share, reason)
    if now >= NOT_SHRUNK * max(start, largest or 0.0):
        return GradientTest("not shrunk", share, reason)
    return GradientTest("undecided", share, reason)
