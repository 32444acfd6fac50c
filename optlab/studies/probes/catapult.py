"""Gradient descent above the largest stable rate, on a wide network in NTK parametrization."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import ClassVar, Literal

from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.objective.seeding import generator
from optlab.studies.probes.base import Probe

_STEPS_BETWEEN_SIGNS = 20
_DIVERGED = 1e8


class Catapult(Probe):
    """A ReLU network f(x) = v·relu(W x/√d)/√n, trained by gradient descent on random targets.

    The rate is given in units of 1/λ₀, λ₀ the largest eigenvalue of the tangent kernel at the
    start, over the number of examples. Below 2 training is lazy; above, the loss first grows, until
    the curvature has fallen to what the rate allows; far above, it diverges.
    """

    name: ClassVar[str] = "catapult"
    label: ClassVar[str] = "Catapult"
    source: ClassVar[str] = (
        "A. Lewkowycz, Y. Bahri, E. Dyer, J. Sohl-Dickstein, G. Gur-Ari (2020), The large learning "
        "rate phase of deep learning: the catapult mechanism."
    )

    of: Literal["curvature", "diverged"] = choice(
        "curvature",
        "Of",
        help="The largest eigenvalue at the end over that at the start; or 1 where training "
        "diverged and 0 where it did not.",
    )
    rate: float = number(1.0, "Rate", gt=0.0, help="Learning rate, in units of 1/λ₀.")
    width: int = integer(1024, "Hidden units", symbol="n", ge=1, le=16_384, help="Width.")
    inputs: int = integer(64, "Inputs", symbol="d", ge=1, le=4096, help="Number of inputs.")
    examples: int = integer(32, "Examples", ge=1, le=1024, help="Number of examples.")
    steps: int = integer(300, "Steps", ge=1, le=100_000, help="Number of steps.")

    def measure(self, seed: int) -> Generator[float, None, float]:
        source = generator(seed, "probe/catapult")

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=source, dtype=torch.float64)

        x = draw(self.examples, self.inputs) / self.inputs**0.5
        y = draw(self.examples)
        first, second = draw(self.width, self.inputs), draw(self.width)
        at_start = self._curvature(x, first, second)
        rate = self.rate / at_start
        for step in range(self.steps):
            hidden = x @ first.T
            active = hidden.relu()
            error = (active @ second / self.width**0.5 - y) / self.examples
            if not float(error.square().sum()) < _DIVERGED:
                return 1.0 if self.of == "diverged" else math.inf
            by_second = active.T @ error / self.width**0.5
            back = error.unsqueeze(1) * (hidden > 0.0) * second / self.width**0.5
            first, second = first - rate * back.T @ x, second - rate * by_second
            if step % _STEPS_BETWEEN_SIGNS == 0:
                yield step / self.steps
        if self.of == "diverged":
            return 0.0
        return self._curvature(x, first, second) / at_start

    def words(self) -> str:
        return (
            "share that diverged" if self.of == "diverged" else "curvature over that at the start"
        )

    def _curvature(self, x: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> float:
        """Return the largest eigenvalue of the tangent kernel over the number of examples."""
        hidden = x @ first.T
        active, slope = hidden.relu(), (hidden > 0.0) * second
        kernel = (active @ active.T + (slope @ slope.T) * (x @ x.T)) / self.width
        return float(torch.linalg.eigvalsh(kernel)[-1]) / self.examples
