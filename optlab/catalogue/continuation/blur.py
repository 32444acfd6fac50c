"""Blur: the objective averaged over Gaussian noise that decreases in stages."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.continuation.base import Continuation
from optlab.core.fields import STEPS_OR_EPOCHS, StepUnit, integer, number, step_unit


class Blur(Continuation):
    """A sequence of blurred objectives, each easier than the next, ending with the objective.

    Each stage starts where the previous one ended. The blur of stage j is σ(1 − j/n), so stage n
    has none.
    """

    name: ClassVar[str] = "blur"
    label: ClassVar[str] = "Gaussian blur"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"J^{(j)}(\theta) = E_{n \sim N(0, I)}\, J(\theta + \sigma_j n)",
        r"\sigma_j = \sigma\left(1 - \frac{j}{n}\right),\quad j = 0, \ldots, n",
    )
    symbols: ClassVar[dict[str, str]] = {"j": "stage", "J": "objective on the batch"}
    source: ClassVar[str] = "Notes, continuation methods; H. Mobahi, J. Fisher (2015)."

    sigma: float = number(
        0.1,
        "Initial blur",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(1e-3, 1.0),
        help="Standard deviation of the noise on each parameter in the first stage.",
    )
    stages: int = integer(
        5,
        "Stages",
        symbol="n",
        ge=1,
        le=1000,
        slider=(1, 20),
        help="Number of blurred stages before training on the objective itself.",
    )
    length: int = integer(
        200,
        "Length of a stage",
        unit=STEPS_OR_EPOCHS,
        ge=1,
        log=True,
        slider=(10, 10_000),
        help="Steps in each stage.",
    )
    samples: int = integer(
        4,
        "Draws",
        ge=1,
        le=256,
        slider=(1, 32),
        help="Number of draws of the noise that a step averages; each costs one gradient.",
    )
    unit: StepUnit = step_unit()

    def width(self, step: int) -> float:
        return self.sigma * max(0.0, 1.0 - (step // self.length) / self.stages)

    def draws(self) -> int:
        return self.samples
