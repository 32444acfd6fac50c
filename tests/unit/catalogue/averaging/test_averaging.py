"""Averages of the iterates against plain means and torch.optim.swa_utils, alone and in populations,
stopped and resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import swa_utils

from optlab.experiment import Experiment
from optlab.training.control import Stop
from optlab.training.events import SeriesBlock, SnapshotTaken

Build = Callable[..., Experiment]
STEPS = 40
ACTIVE = [
    {"name": "polyak"},
    {"name": "polyak", "begin": 25},
    {"name": "exponential", "decay": 0.9},
]


def path(trainer: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Start and iterates θ_0, θ_1, …, and the average beside each, ``[P]``."""
    iterates, averages = [trainer.theta[0]], [trainer.population.groups[0].average()[0]]
    for _ in range(STEPS):
        trainer.advance()
        iterates.append(trainer.theta[0])
        averages.append(trainer.population.groups[0].average()[0])
    return iterates, averages


@pytest.mark.parametrize("begin", [0, 7])
def test_that_the_polyak_average_is_the_mean_of_the_iterates_since_its_beginning(
    build: Build, advanced: Any, begin: int
) -> None:
    iterates, averages = path(advanced(build(averaging={"name": "polyak", "begin": begin}), 0))
    for step in range(STEPS + 1):
        expected = (
            torch.stack(iterates[begin + 1 : step + 1]).mean(dim=0)
            if step > begin
            else iterates[step]
        )
        torch.testing.assert_close(averages[step], expected, rtol=1e-13, atol=1e-14)
    assert (averages[-1] - iterates[-1]).norm() > 0.01, "or the average would be no other point"


def test_that_the_exponential_average_is_torchs_once_that_has_seen_the_start(
    build: Build, advanced: Any
) -> None:
    iterates, averages = path(advanced(build(averaging={"name": "exponential", "decay": 0.9}), 0))
    module = torch.nn.Linear(len(iterates[0]), 1, bias=False).double()
    batch_objective = swa_utils.AveragedModel(module, avg_fn=swa_utils.get_ema_avg_fn(0.9))
    for theta, average in zip(iterates, averages, strict=True):
        with torch.no_grad():
            module.weight.copy_(theta.unsqueeze(0))
        batch_objective.update_parameters(module)
        torch.testing.assert_close(
            average, batch_objective.module.weight.detach()[0], rtol=1e-13, atol=1e-14
        )


@pytest.mark.parametrize("averaging", ACTIVE)
def test_that_an_average_does_not_touch_the_training(
    build: Build, play: Any, ended: Any, averaging: dict[str, Any]
) -> None:
    assert ended(play(build(averaging=averaging))).theta_sha256 == ended(play(build())).theta_sha256


def test_that_each_run_of_a_population_has_the_average_it_has_alone(
    build: Build, advanced: Any
) -> None:
    averages = [
        {"name": "polyak", "begin": 3},
        {"name": "exponential", "decay": 0.5},
        {"name": "none"},
        {"name": "polyak", "begin": 20},
        {"name": "exponential", "decay": 0.99},
    ]
    members = [build(averaging=averaging, seed=seed) for seed, averaging in enumerate(averages)]
    together = advanced(members, STEPS).population.averaged()
    for run, member in enumerate(members):
        alone = advanced(member, STEPS)
        expected = alone.population.averaged() if member.averaging.active else alone.theta
        torch.testing.assert_close(together[run], expected[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("averaging", ACTIVE)
@pytest.mark.parametrize("stop", [1, 23, 50])
def test_that_an_average_is_stopped_and_resumed_bit_for_bit(
    build: Build, play: Any, averaging: dict[str, Any], stop: int
) -> None:
    experiment = build(averaging=averaging)

    def last(events: list[Any]) -> Any:
        return next(
            event.snapshot
            for event in events
            if isinstance(event, SnapshotTaken) and event.snapshot.reason == "end"
        )

    straight = last(play(experiment))
    snapshot = last(play(experiment, at={stop: [Stop()]}))
    assert snapshot.step == stop
    resumed = last(play(experiment, snapshots=[snapshot]))
    assert set(resumed.state) == {"v", "averaging.average"}
    for name, values in straight.state.items():
        np.testing.assert_array_equal(resumed.state[name], values)
    np.testing.assert_array_equal(resumed.theta, straight.theta)


@pytest.mark.parametrize("averaging", [*ACTIVE, {"name": "none"}])
def test_that_the_averaged_point_is_evaluated_where_there_is_one(
    build: Build, play: Any, averaging: dict[str, Any]
) -> None:
    names = {
        name
        for event in play(build(averaging=averaging))
        if isinstance(event, SeriesBlock)
        for name in event.series
    }
    expected = {"averaged_train_loss", "averaged_validation_loss", "averaged_validation_error"}
    assert names & expected == (expected if averaging["name"] != "none" else set())


def test_that_averaged_measures_are_those_of_the_average(build: Build, advanced: Any) -> None:
    experiment = build(averaging={"name": "polyak"})
    trainer = advanced(experiment, STEPS)
    w0, b0, w1, b1 = (
        part[0] for part in trainer.layout.split(trainer.population.groups[0].average())
    )
    data = experiment.dataset.load()
    values = trainer.evaluate()
    for name, part in (("train", data.training), ("validation", data.validation)):
        outputs = torch.tanh(torch.from_numpy(part.x) @ w0.T + b0) @ w1.T + b1
        expected = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(part.y)).item()
        assert values[f"averaged_{name}_loss"].item() == pytest.approx(expected, rel=1e-12)
        assert values[f"{name}_loss"].item() != pytest.approx(expected, rel=1e-6)
