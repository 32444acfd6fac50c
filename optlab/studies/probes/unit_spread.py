"""How different the hidden units of a network have become."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from optlab.core.errors import InvalidInput
from optlab.core.fields import integer, text
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.studies.probes._tables import table
from optlab.studies.probes._training import trained
from optlab.studies.probes.base import Probe


class UnitSpread(Probe):
    """The largest distance of a hidden unit's weights from those of the first one, over their norm.

    The weights of a unit are its incoming and its outgoing ones. Units that start alike, in a
    network without randomness of its own, get the same gradient at every step and never separate.
    """

    name: ClassVar[str] = "unit_spread"
    label: ClassVar[str] = "Spread of hidden units"
    source: ClassVar[str] = "Notes, section on initialization: breaking symmetry."

    dataset: str = text('{ name = "digits" }', "Dataset", longest=2000, help="A section.")
    hidden: int = integer(16, "Hidden units", ge=2, le=1024, help="Units of the hidden layer.")
    initializer: str = text('{ name = "he" }', "Initializer", longest=2000, help="A section.")
    optimizer: str = text(
        '{ name = "momentum", lr = 0.05 }', "Optimizer", longest=2000, help="A section."
    )
    steps: int = integer(300, "Steps", ge=0, le=100_000, help="Steps of training before the look.")

    def measure(self, seed: int) -> Generator[float, None, float]:
        experiment = Experiment.from_dict(
            {
                "seed": seed,
                "device": "cpu",
                "dataset": table(self.dataset, "probe.dataset"),
                "model": {"name": "mlp", "hidden": [self.hidden]},
                "initializer": table(self.initializer, "probe.initializer"),
                "optimizer": table(self.optimizer, "probe.optimizer"),
                "budget": {"steps": max(1, self.steps)},
                "measures": {"weights": 0},
            }
        )
        trainer = yield from trained(experiment, self.steps)
        if not trainer.alive:
            raise InvalidInput(
                "The training of the probe unit_spread diverged; choose a smaller rate.",
                "probe.optimizer",
            )
        theta = trainer.layout.named(trainer.theta)
        first, second = (theta[f"layers.{layer}.weight"][0].double() for layer in (0, 1))
        units = torch.cat([first, second.T], dim=1)
        distance = (units - units[0]).norm(dim=1).amax()
        return float(distance / units[0].norm())

    def words(self) -> str:
        return f"spread of hidden units after {self.steps:,} steps"
