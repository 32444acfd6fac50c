"""Readings come as often as their cost allows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from optlab.watch.loop import LEFT_SECONDS, OptimizerLoop
from optlab.watch.rows import Rows
from optlab.watch.schedule import Schedule, distance
from optlab.watch.tensors import named_tensors
from tests.unit.watch.conftest import Start, batch, mlp


def without_optimizer(schedule: Schedule) -> OptimizerLoop:
    return OptimizerLoop(None, "", [], Rows(), schedule, lambda act: act)


@pytest.mark.parametrize(
    ("reading", "step", "each_step", "expected"),
    [
        (200e-6, 500e-6, 0.0, 20),  # 200 µs over 20 steps are 2 % of 500 µs
        (200e-6, 500e-6, 5e-6, 50),  # of 10 µs a step, 5 are spent
        (199e-6, 500e-6, 50e-6, 100),  # nothing is left: a fifth of the share nevertheless
        (1e-3, 0.1, 0.0, 1),
        (10.0, 1e-6, 0.0, 5000),
    ],
)
def test_that_the_distance_follows_from_what_a_reading_costs(
    reading: float, step: float, each_step: float, expected: int
) -> None:
    assert distance(reading, step, 0.02, each_step) == expected


def test_that_the_measured_cost_chooses_the_steps() -> None:
    schedule = Schedule(0.02)
    assert schedule.is_due(1)
    schedule.read(1, 1.0, 0.0)  # loads what it needs
    assert schedule.every == 5 and not schedule.is_due(4) and schedule.is_due(5)
    schedule.passed([1e-3] * 9 + [7.0])
    schedule.read(5, 1e-3, 0.0)
    assert schedule.every == 50 and schedule.next == 50
    schedule.read(50, 1e-3, 0.0)
    schedule.read(100, 9.0, 0.0)  # was interrupted
    assert schedule.every == 50 and schedule.next == 150


def test_that_the_next_steps_are_read_after_something_has_happened() -> None:
    schedule = Schedule(0.02, every=1000)
    schedule.read(1, 1e-3, 0.0)
    assert not schedule.is_due(2)
    schedule.hurry(1)
    for step in range(2, 10):
        assert schedule.is_due(step)
        schedule.read(step, 1e-3, 0.0)
    assert not schedule.is_due(10)
    schedule.hurry(10)
    assert not schedule.is_due(11), "one burst in 500 steps"


def test_that_the_cost_counts_long_before_anything_is_written(start: Start) -> None:
    """Half a second may be a thousand steps, of which every fifth would be read."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watcher: Any = start(model, optimizer, every=None)
    x, y = batch()
    for step in range(12):
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        if step == 0:
            watcher._flush_at = math.inf
    assert watcher._main.schedule.knows_steps
    assert len(watcher._main.times) == 11, "nothing was written since the first step"


def test_that_steps_of_which_few_fit_between_two_writes_are_timed() -> None:
    schedule = Schedule(0.02)
    loop = without_optimizer(schedule)
    for step in range(1, 13):
        loop.times.append(0.25 * step)
        if step % 3 == 0:
            loop.flush()
    schedule.read(5, 1.0, 0.0)
    schedule.read(10, 1e-3, 0.0)
    assert schedule.every == 1, "a millisecond is less than 2 % of a step"


def test_that_the_last_steps_count_for_the_time_of_one() -> None:
    schedule = Schedule(0.02)
    loop = without_optimizer(schedule)
    loop.times.extend(1.0 * step for step in range(100))
    loop.flush()
    loop.times.extend(100.0 + 1e-3 * step for step in range(20))
    loop.flush()
    schedule.read(120, 1.0, 0.0)
    schedule.read(125, 1e-3, 0.0)
    assert schedule.every == 50


def test_that_what_hooks_leave_behind_in_torch_is_counted(start: Start) -> None:
    """A parameter that had one costs more at each later step, and a model may have hundreds."""
    costs = []
    for layers in (2, 12):
        model = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(layers)))
        watcher: Any = start(model, torch.optim.SGD(model.parameters(), lr=0.1))
        costs.append(watcher._main.step_seconds)
    assert costs[1] - costs[0] == pytest.approx(20 * LEFT_SECONDS)


def test_that_reading_is_seldom_where_hooks_use_up_the_share() -> None:
    """Each of 100 parameters costs a step of two milliseconds more than its share."""
    every = []
    for parameters in (1, 100):
        module = torch.nn.ParameterList(torch.zeros(1) for _ in range(parameters))
        schedule = Schedule(0.02)
        tensors = named_tensors({"": module})
        loop = OptimizerLoop(None, "", tensors, Rows(), schedule, lambda act: act)
        loop.times.extend(2e-3 * step for step in range(20))
        loop.flush()
        for _ in range(4):  # more than the reading below, whose time is not known
            schedule.read(5, 1e-3, 0.0)
        loop.arm()
        loop.step = 6
        loop.attend()
        every.append(schedule.every)
    assert every == [50, 200]
