"""Critical points of a small network on real data, found from points along its training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optlab.curvature.critical_points import Verdict, find
from optlab.curvature.critical_points import name as named
from optlab.objective.seeding import derived
from optlab.studies.demonstrations._networks import Network, descents, network, optimizer
from optlab.studies.demonstrations.base import stream

if TYPE_CHECKING:
    import torch

_RATE = 0.05


@dataclass(frozen=True)
class Reached:
    """A critical point that was reached.

    Attributes:
        run, step: training run and training step from which the search started.
        theta: the critical point, ``[1, P]``. distance: how far it is from the start of the search.
        verdict: its classification.
    """

    run: int
    step: int
    theta: torch.Tensor
    distance: float
    verdict: Verdict


def small_network(dataset: str, units: int, decay: float) -> Network:
    """Return a network with one layer of tanh units and squared error on the classes.

    The objective is smooth, and weight decay keeps its minima at finite points.
    """
    return network(
        {"name": dataset},
        {"name": "mlp", "hidden": [units], "activation": "tanh"},
        {"name": "squared_error", "l2": decay},
    )


def reached(
    made: Network,
    seed: int,
    runs: int,
    spreads: Sequence[float],
    at: Sequence[int],
    max_steps: int = 60,
) -> Iterator[Reached | None]:
    """Yield the critical points reached from points along ``runs`` trainings.

    The points are those after the steps ``at``. None is yielded for each from which the search
    did not converge.

    Args:
        spreads: standard deviations of the initial weights; each run takes the next one.
        max_steps: of the search.
    """
    seeds = [derived(seed, stream(f"critical/{run}")) for run in range(runs)]
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
                result = find(made.landscape, point, steps=max_steps)
                if not result.converged:
                    yield None
                    continue
                yield Reached(
                    run, step, result.theta, result.distance, named(made.landscape, result.theta)
                )
