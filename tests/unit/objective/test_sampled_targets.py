"""What is computed for targets drawn from the predictions is the same however ranks share it."""

from __future__ import annotations

import pytest
import torch

from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.ranks import Ranks
from optlab.objective.shared import SharedBatchObjective, SharedObjective
from optlab.training.trainer import Trainer


class _Half(Ranks):
    """One of some ranks, whose sums hold its own part alone."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def sum(self, *parts: torch.Tensor) -> list[torch.Tensor]:
        return list(parts)


@pytest.mark.parametrize("examples", [9, 1])
def test_that_the_parts_of_ranks_are_the_whole(examples: int) -> None:
    """With one example the first of two ranks has none."""
    trainer = Trainer(
        [
            Experiment.from_dict(
                {
                    "precision": "float64",
                    "device": "cpu",
                    "dataset": {"name": "moons", "size": 80},
                    "model": {"name": "mlp", "hidden": [3], "activation": "tanh"},
                    "batches": {"name": "shuffled", "size": examples},
                }
            )
        ]
    )
    objective = trainer.population._objective
    x, y = trainer.batch_of(0)
    whole = BatchObjective(objective, x, y, [4], 6)
    parts = [
        SharedBatchObjective(
            SharedObjective(objective, objective.shape, _Half(rank, 2)), x, y, [4], 6
        )
        for rank in (0, 1)
    ]
    theta = trainer.theta
    torch.testing.assert_close(
        parts[0].sampled_gradient(theta, "a") + parts[1].sampled_gradient(theta, "a"),
        whole.sampled_gradient(theta, "a"),
    )
    if examples > 1:
        other = whole.sampled_gradient(theta, "b")
        assert not torch.allclose(other, whole.sampled_gradient(theta, "a"))
    shared = [part.layer_factors(theta, "a") for part in parts]
    for one, other, all_ in zip(*shared, whole.layer_factors(theta, "a"), strict=True):
        assert one.weight == other.weight == all_.weight
        torch.testing.assert_close(one.inputs + other.inputs, all_.inputs)
        torch.testing.assert_close(one.outputs + other.outputs, all_.outputs)
    assert [list(part.gradients) for part in parts] == [[2], [2]]
    assert parts[0].examples == whole.examples == examples
