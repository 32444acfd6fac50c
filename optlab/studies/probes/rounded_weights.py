"""Training whose weights are kept in a chosen precision."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import ClassVar, Literal

from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.seeding import generator
from optlab.studies.probes._training import trained
from optlab.studies.probes.base import Probe
from optlab.training.trainer import Trainer

_DROPPED_BITS = 16
"""Bits of a float32 that a bfloat16 does not have."""


class RoundedWeights(Probe):
    """The loss of a network whose weights are rounded to bfloat16 after each step.

    An update that is less than half the distance to the next number that the precision has is lost
    by rounding to the nearest. Stochastic rounding takes the next number up or down with
    probabilities that make the mean right, so that small updates add up.
    """

    name: ClassVar[str] = "rounded_weights"
    label: ClassVar[str] = "Weights in low precision"
    source: ClassVar[str] = (
        "S. Gupta, A. Agrawal, K. Gopalakrishnan, P. Narayanan (2015), Deep learning with limited "
        "numerical precision."
    )

    rounding: Literal["none", "nearest", "stochastic"] = choice(
        "none", "Rounding", help="None keeps float32; the others keep bfloat16."
    )
    hidden: int = integer(128, "Hidden units", ge=1, le=4096, help="Units of the hidden layer.")
    lr: float = number(0.001, "Learning rate", gt=0.0, help="Rate of gradient descent.")
    size: int = integer(32, "Batch size", ge=1, help="Examples of a batch.")
    steps: int = integer(2000, "Steps", ge=1, le=1_000_000, help="Number of steps.")

    def measure(self, seed: int) -> Generator[float, None, float]:
        draws = generator(seed, "probe/rounding")

        def round_weights(trainer: Trainer) -> None:
            if self.rounding == "nearest":
                trainer.theta = trainer.theta.bfloat16().float()
            elif self.rounding == "stochastic":
                trainer.theta = stochastic(trainer.theta, draws)

        experiment = Experiment.from_dict(
            {
                "seed": seed,
                "device": "cpu",
                "dataset": {"name": "digits"},
                "model": {"name": "mlp", "hidden": [self.hidden]},
                "optimizer": {"name": "sgd", "lr": self.lr},
                "batches": {"name": "shuffled", "size": self.size},
                "budget": {"steps": self.steps},
                "measures": {"weights": 0},
            }
        )
        trainer = yield from trained(experiment, self.steps, after=round_weights)
        return float(trainer.evaluate()["train_loss"][0]) if trainer.alive else math.inf

    def words(self) -> str:
        kept = "float32" if self.rounding == "none" else f"bfloat16, {self.rounding} rounding"
        return f"training loss after {self.steps:,} steps, weights in {kept}"


def stochastic(values: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """Round float32 values to those of bfloat16, up or down at random, right on average.

    A random number below the unit of the last kept bit is added to the bits of each value, and what
    bfloat16 does not have is cut off.

    Args:
        values: float32, finite, of any shape ``[…]``; the result has the same.
    """
    bits = values.contiguous().view(torch.int32)
    noise = torch.randint(0, 1 << _DROPPED_BITS, bits.shape, generator=draws, dtype=torch.int32)
    cut = (bits + noise) & -(1 << _DROPPED_BITS)
    return cut.view(torch.float32)
