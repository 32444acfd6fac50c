"""The largest eigenvalue of Adam's preconditioned Hessian, in units of its edge of stability."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import ClassVar, Literal

from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.experiment import Experiment
from optlab.studies.probes._training import trained
from optlab.studies.probes.base import Probe
from optlab.training.trainer import Trainer

_BETA1 = 0.9
_BETA2 = 0.999
_EPSILON = 1e-8
_LOOKS = 10


class AdamEdge(Probe):
    """The largest eigenvalue of P⁻¹H late in training by Adam, times ε over 38.

    P is the diagonal by which Adam divides. At a momentum of 0.9 the largest stable eigenvalue is
    (2 + 2β₁)/((1 − β₁)ε) = 38/ε. For comparison the eigenvalue of H itself can be read, which has
    no such edge.
    """

    name: ClassVar[str] = "adam_edge"
    label: ClassVar[str] = "Adam at its edge of stability"
    source: ClassVar[str] = (
        "J. Cohen et al. (2022), Adaptive gradient methods at the edge of stability."
    )

    hessian: Literal["preconditioned", "plain"] = choice(
        "preconditioned", "Hessian", help="Whether that of Adam's own scaling is read."
    )
    lr: float = number(0.002, "Learning rate", symbol="ε", gt=0.0, help="Adam's rate.")
    steps: int = integer(6000, "Steps", ge=10, le=1_000_000, help="Number of steps.")
    since: int = integer(
        4500, "Since", ge=0, help="Step from which on the eigenvalue is read, ten times."
    )

    def measure(self, seed: int) -> Generator[float, None, float]:
        experiment = Experiment.from_dict(
            {
                "seed": seed,
                "device": "cpu",
                "precision": "float64",
                "dataset": {"name": "chebyshev", "validation": 0.0, "test": 0.0},
                "model": {"name": "mlp", "hidden": [30, 20], "activation": "tanh"},
                "optimizer": {
                    "name": "adam",
                    "lr": self.lr,
                    "beta1": _BETA1,
                    "beta2": _BETA2,
                    "eps": _EPSILON,
                },
                "batches": {"name": "never_shuffled", "size": 0},
                "budget": {"steps": self.steps},
                "measures": {"weights": 0},
            }
        )
        found: list[float] = []
        stride = max(1, (self.steps - self.since) // _LOOKS)

        def look(trainer: Trainer) -> None:
            if trainer.step > self.since and (trainer.step - self.since) % stride == 0:
                found.append(self._eigenvalue(trainer))

        trainer = yield from trained(experiment, self.steps, after=look)
        if not trainer.alive or not found:
            return math.inf
        return sum(found) / len(found) * self.lr / (2.0 * (1.0 + _BETA1) / (1.0 - _BETA1))

    def words(self) -> str:
        which = "P⁻¹H" if self.hessian == "preconditioned" else "H"
        return f"largest eigenvalue of {which} · ε/38"

    def _eigenvalue(self, trainer: Trainer) -> float:
        x, y = trainer.batch_of(trainer.step)
        hessian = ObjectiveLandscape(trainer.objective, x[0], y[0]).hessian(trainer.theta)
        matrix = hessian.dense()[0]
        if self.hessian == "preconditioned":
            (group,) = trainer.population.groups
            spread = (group.state["r"][0] / (1.0 - _BETA2**trainer.step)).sqrt() + _EPSILON
            # Both bias corrections belong to what divides; late in training they are 1.
            scale = (spread * (1.0 - _BETA1**trainer.step)).rsqrt()
            matrix = scale.unsqueeze(1) * matrix * scale
        return float(torch.linalg.eigvalsh(matrix)[-1])
