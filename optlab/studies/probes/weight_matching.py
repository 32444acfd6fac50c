"""The barrier between two trained networks, before and after their units are matched."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import ClassVar, Literal

import numpy as np

from optlab.core.fields import choice, integer, number
from optlab.core.lazy import torch
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.experiment import Experiment
from optlab.objective.seeding import derived
from optlab.studies.probes._training import trained
from optlab.studies.probes.base import Probe
from optlab.training.trainer import Trainer

_POINTS = 21
_SEEDS = 10**9
_ROUNDS = 20
_FLAT = 1e-6
"""Lowest barrier that is reported: below it, the line is flat."""
_ROUNDING = 1e-16
"""Smallest relative change that is reported, so that its logarithm exists."""


class WeightMatching(Probe):
    """The height of the training loss on the line between two networks trained from two seeds.

    The barrier is the largest excess over the straight line between the losses of the two ends.
    Matching exchanges the hidden units of the second network so that the weights agree best with
    those of the first, layer by layer, by assignment, until nothing changes; the function stays the
    same.
    """

    name: ClassVar[str] = "weight_matching"
    label: ClassVar[str] = "Weight matching"
    source: ClassVar[str] = (
        "S. Ainsworth, J. Hayase, S. Srinivasa (2023), Git re-basin: merging models modulo "
        "permutation symmetries."
    )

    of: Literal["matched", "plain", "share", "change"] = choice(
        "matched",
        "Of",
        help="The barrier after matching, before it, the first over the second, or the relative "
        "change of the second network's loss by matching, which is rounding.",
    )
    width: int = integer(256, "Width", ge=1, le=4096, help="Units of each hidden layer.")
    layers: int = integer(1, "Hidden layers", ge=1, le=8, help="Number of hidden layers.")
    lr: float = number(0.05, "Learning rate", gt=0.0, help="Rate of momentum 0.9.")
    steps: int = integer(600, "Steps", ge=1, le=100_000, help="Steps of each training.")

    def measure(self, seed: int) -> Generator[float, None, float]:
        first = yield from trained(self._experiment(seed, seed), self.steps)
        other = derived(seed, "probe/second") % _SEEDS
        second = yield from trained(self._experiment(other, seed), self.steps)
        if not first.alive or not second.alive:
            return math.inf
        one = [tensor[0].double().numpy() for tensor in first.layout.split(first.theta)]
        two = [tensor[0].double().numpy() for tensor in second.layout.split(second.theta)]
        yield 1.0
        matched = matching(one, two)
        landscape = _landscape(first)
        if self.of == "change":
            before, after = (_losses(landscape, [end])[0] for end in (two, matched))
            return max(abs(after - before) / before, _ROUNDING)
        plain, barrier = (_barrier(landscape, one, end) for end in (two, matched))
        return {"matched": barrier, "plain": plain, "share": barrier / plain}[self.of]

    def words(self) -> str:
        return {
            "matched": "barrier after matching",
            "plain": "barrier before matching",
            "share": "share of the barrier that matching leaves",
            "change": "relative change of the loss by matching",
        }[self.of]

    def _experiment(self, seed: int, data: int) -> Experiment:
        return Experiment.from_dict(
            {
                "seed": seed,
                "device": "cpu",
                "dataset": {"name": "digits", "seed": data},
                "model": {"name": "mlp", "hidden": [self.width] * self.layers},
                "optimizer": {"name": "momentum", "lr": self.lr, "momentum": 0.9},
                "batches": {"name": "shuffled", "size": 32},
                "budget": {"steps": self.steps},
                "measures": {"weights": 0},
            }
        )


def matching(one: list[np.ndarray], two: list[np.ndarray]) -> list[np.ndarray]:
    """Return the second of two chains of layers with its hidden units exchanged to fit the first.

    Args:
        one, two: weight ``[out, in]`` and bias ``[out]`` of each layer, alternately.
    """
    # Imported here: the catalogue loads without SciPy.
    from scipy.optimize import linear_sum_assignment

    matched = [tensor.copy() for tensor in two]
    hidden = len(one) // 2 - 1
    for _ in range(_ROUNDS):
        changed = False
        for layer in range(hidden):
            weight, bias, above = 2 * layer, 2 * layer + 1, 2 * layer + 2
            gain = one[weight] @ matched[weight].T + np.outer(one[bias], matched[bias])
            gain += one[above].T @ matched[above]
            _, order = linear_sum_assignment(gain, maximize=True)
            changed |= bool((order != np.arange(len(order))).any())
            matched[weight], matched[bias] = matched[weight][order], matched[bias][order]
            matched[above] = matched[above][:, order]
        if not changed:
            break
    return matched


def _landscape(trainer: Trainer) -> ObjectiveLandscape:
    data = trainer.requested[0].dataset.load().training
    return ObjectiveLandscape(
        trainer.objective, torch.from_numpy(data.x).double(), torch.from_numpy(data.y)
    )


def _losses(landscape: ObjectiveLandscape, points: list[list[np.ndarray]]) -> list[float]:
    flat = [np.concatenate([tensor.ravel() for tensor in point]) for point in points]
    theta = torch.from_numpy(np.stack(flat))
    losses: list[float] = landscape.value(theta).tolist()
    return losses


def _barrier(landscape: ObjectiveLandscape, one: list[np.ndarray], two: list[np.ndarray]) -> float:
    """Return the largest excess of the loss over the line between the losses of the two ends."""
    shares = np.linspace(0.0, 1.0, _POINTS)
    points = [
        [(1.0 - share) * a + share * b for a, b in zip(one, two, strict=True)] for share in shares
    ]
    losses = np.array(_losses(landscape, points))
    excess = float((losses - (1.0 - shares) * losses[0] - shares * losses[-1]).max())
    return max(excess, _FLAT)
