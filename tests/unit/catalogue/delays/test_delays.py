"""Delayed gradients against a hand-written simulation that keeps every iterate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.catalogue.delays.base import Delay
from optlab.catalogue.delays.fixed import FixedDelay
from optlab.catalogue.delays.random import RandomDelay
from optlab.experiment import Experiment
from optlab.objective.seeding import generators
from optlab.training.control import Stop
from optlab.training.events import SnapshotTaken

Build = Callable[..., Experiment]
STEPS = 30


def simulated(trainer: Any, delay: Delay, lr: float, momentum: float, seed: int) -> torch.Tensor:
    """θ after some steps of momentum whose gradients are as old as the delay says, ``[1, P]``."""
    iterates = [trainer.theta.clone()]
    v = torch.zeros_like(iterates[0])
    for step in range(STEPS):
        age = min(delay.staleness(step, generators(seed)), step)
        gradient = trainer.objective.value_and_gradient(
            iterates[step - age], *trainer._stream.at(step)
        )[1]
        v = momentum * v - lr * gradient
        iterates.append(iterates[-1] + v)
    return iterates[-1]


@pytest.mark.parametrize(
    "delay", [FixedDelay(steps=0), FixedDelay(steps=1), FixedDelay(steps=4), RandomDelay(steps=5)]
)
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_that_a_delayed_run_is_the_simulation_of_it(
    build: Build, advanced: Any, delay: Delay, momentum: float
) -> None:
    optimizer = {"name": "momentum", "lr": 0.05, "momentum": momentum}
    asked = build(optimizer=optimizer, delay={"name": delay.name, **delay.values()}, seed=3)
    expected = simulated(advanced(asked, 0), delay, 0.05, momentum, 3)
    torch.testing.assert_close(advanced(asked, STEPS).theta, expected, rtol=1e-12, atol=1e-13)


def test_that_no_steps_of_delay_are_no_delay(build: Build, advanced: Any) -> None:
    plain = advanced(build(), STEPS).theta
    assert torch.equal(advanced(build(delay={"name": "fixed", "steps": 0}), STEPS).theta, plain)
    assert not torch.allclose(
        advanced(build(delay={"name": "fixed", "steps": 1}), STEPS).theta, plain
    )


def test_that_random_ages_are_even_within_their_bounds_and_repeat() -> None:
    delay = RandomDelay(steps=3)
    ages = [delay.staleness(step, generators(8)) for step in range(2000)]
    counts = Counter(ages)
    assert set(counts) == {0, 1, 2, 3}
    # 5 standard deviations of a count with p = 1/4.
    assert all(abs(count - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5 for count in counts.values())
    assert ages == [delay.staleness(step, generators(8)) for step in range(2000)]
    assert ages != [delay.staleness(step, generators(9)) for step in range(2000)]
    assert abs(sum(a == b for a, b in zip(ages, ages[1:], strict=False)) - 500) < 100, (
        "ages of successive steps are independent"
    )


def test_that_each_run_of_a_population_is_delayed_as_alone(build: Build, advanced: Any) -> None:
    delays = [
        {"name": "fixed", "steps": 4},
        {"name": "random", "steps": 4},
        {"name": "none"},
        {"name": "random", "steps": 4},
        {"name": "fixed", "steps": 2},
    ]
    members = [build(delay=delay, seed=seed) for seed, delay in enumerate(delays)]
    together = advanced(members, STEPS).theta
    for run, member in enumerate(members):
        torch.testing.assert_close(
            together[run], advanced(member, STEPS).theta[0], rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("delay", [{"name": "fixed", "steps": 6}, {"name": "random", "steps": 6}])
@pytest.mark.parametrize("stop", [1, 4, 6, 31])
def test_that_a_delayed_run_is_stopped_and_resumed_bit_for_bit(
    build: Build, play: Any, ended: Any, delay: dict[str, Any], stop: int
) -> None:
    experiment = build(delay=delay)
    (snapshot,) = [
        e.snapshot
        for e in play(experiment, at={stop: [Stop()]})
        if isinstance(e, SnapshotTaken) and e.snapshot.reason == "end"
    ]
    assert snapshot.step == stop
    assert {f"delay.{age}" for age in range(1, 7)} <= set(snapshot.state)
    assert (
        ended(play(experiment, snapshots=[snapshot])).theta_sha256
        == ended(play(experiment)).theta_sha256
    )
