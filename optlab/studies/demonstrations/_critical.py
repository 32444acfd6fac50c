"""Critical points of a small real network, sought from points along its training: what two benches
need.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optlab.curvature.critical_points import Verdict, find
from optlab.curvature.critical_points import name as named
from optlab.objective.seeding import derived
from optlab.studies.demonstrations._networks import Network, descents, network, optimizer

if TYPE_CHECKING:
    import torch

_RATE = 0.05


@dataclass(frozen=True)
class Reached:
    """Where the finder ended: from which run and training step, θ ``[1, P]``, how far away that is,
    and its name.
    """

    run: int
    step: int
    theta: torch.Tensor
    distance: float
    verdict: Verdict


def small_network(dataset: str, units: int, decay: float) -> Network:
    """A network of one layer of tanh units judged by its squared error on the classes: smooth, and
    with weight decay its minima lie at finite places.
    """
    return network(
        {"name": dataset},
        {"name": "mlp", "hidden": [units], "activation": "tanh"},
        {"name": "squared_error", "l2": decay},
    )


def reached(
    made: Network, seed: int, runs: int, spreads: Sequence[float], at: Sequence[int], most: int = 60
) -> Iterator[Reached | None]:
    """Critical points found from the points of ``runs`` trainings after the steps ``at``; None for
    each point from which none was found.

    Args:
        spreads: standard deviations of the starting weights; each run takes the next one. most:
            steps of the finder.
    """
    seeds = [derived(seed, f"bench/critical/{run}") for run in range(runs)]
    drawn = [
        made.starts([own], {"name": "gaussian", "std": spreads[run % len(spreads)]})
        for run, own in enumerate(seeds)
    ]
    for run, theta in enumerate(drawn):
        points = itertools.chain(
            [theta],
            (
                taken.after
                for taken in descents(
                    made.objective, made.x, made.y, theta, [optimizer("sgd", lr=_RATE)]
                )
            ),
        )
        for step, point in enumerate(itertools.islice(points, max(at) + 1)):
            if step in at:
                found = find(made.landscape, point, steps=most)
                if not found.converged:
                    yield None
                    continue
                yield Reached(
                    run, step, found.theta, found.distance, named(made.landscape, found.theta)
                )
