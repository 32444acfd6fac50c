"""Schedules against torch.optim.lr_scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as batch_objective

from optlab.core import registry
from optlab.experiment.pages import page

LR = 0.3
PAIRS: list[tuple[dict[str, Any], Callable[[torch.optim.Optimizer], Any], int]] = [
    ({"name": "constant"}, lambda o: batch_objective.ConstantLR(o, factor=1.0), 50),
    (
        {"name": "linear_decay", "tau": 40, "last": 0.05},
        lambda o: batch_objective.LinearLR(o, 1.0, 0.05, total_iters=40),
        100,
    ),
    (
        {"name": "inverse", "tau": 7},
        lambda o: batch_objective.LambdaLR(o, lambda k: 1.0 / (1.0 + k / 7)),
        100,
    ),
    (
        {"name": "step_decay", "every": 9, "factor": 0.4},
        lambda o: batch_objective.StepLR(o, 9, 0.4),
        60,
    ),
    (
        {"name": "exponential", "half_life": 12},
        lambda o: batch_objective.ExponentialLR(o, 2.0 ** (-1.0 / 12.0)),
        60,
    ),
    (
        {"name": "cosine", "tau": 50, "last": 0.1},
        lambda o: batch_objective.CosineAnnealingLR(o, T_max=50, eta_min=0.1 * LR),
        51,
    ),
    (
        {"name": "warm_up", "steps": 20, "start": 0.1},
        lambda o: batch_objective.LinearLR(o, start_factor=0.1, total_iters=20),
        60,
    ),
    (
        {"name": "one_cycle", "tau": 80, "rise": 0.25, "divisor": 10.0},
        lambda o: batch_objective.OneCycleLR(
            o, LR, total_steps=80, pct_start=0.25, div_factor=10.0, cycle_momentum=False
        ),
        80,
    ),
    (
        {"name": "pieces", "pieces": "polynomial 2 to 0 in 40"},
        lambda o: batch_objective.PolynomialLR(o, total_iters=40, power=2.0),
        60,
    ),
]


@pytest.mark.parametrize(
    ("values", "make", "steps"),
    PAIRS,
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_that_the_rate_is_torchs(
    values: dict[str, Any], make: Callable[[torch.optim.Optimizer], Any], steps: int
) -> None:
    ours: Any = registry.build("schedule", values)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = make(optimizer)
    for step in range(steps):
        assert ours.rate(LR, step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        if step < steps - 1:
            scheduler.step()


def test_that_every_schedule_is_compared() -> None:
    watching = {
        schedule.name
        for schedule in registry.components("schedule")
        if getattr(schedule, "watches", False)
    }
    assert watching == {"plateau"}, "which is compared in a file of its own"
    assert {values["name"] for values, _, _ in PAIRS} | watching == set(registry.names("schedule"))


@pytest.mark.parametrize("name", ["linear_decay", "cosine", "one_cycle"])
def test_that_after_its_last_step_the_rate_stays(name: str) -> None:
    schedule: Any = registry.build("schedule", {"name": name, "tau": 40})
    assert schedule.rate(LR, 40) == schedule.rate(LR, 41) == schedule.rate(LR, 10**9)


def test_that_the_default_of_the_linear_decay_ends_at_one_percent() -> None:
    schedule: Any = registry.build("schedule", {"name": "linear_decay"})
    assert schedule.rate(1.0, schedule.tau) == pytest.approx(0.01)


CONDITIONS = [
    ({"name": "constant"}, True, False),
    ({"name": "linear_decay", "tau": 50, "last": 0.01}, True, False),
    ({"name": "linear_decay", "tau": 50, "last": 0.0}, False, True),
    ({"name": "inverse", "tau": 7}, True, True),
    ({"name": "exponential", "half_life": 12}, False, True),
    ({"name": "step_decay", "every": 9, "factor": 0.4}, False, True),
    ({"name": "step_decay", "every": 9, "factor": 1.0}, True, False),
    ({"name": "cosine", "tau": 50, "last": 0.1}, True, False),
    ({"name": "cosine", "tau": 50, "last": 0.0}, False, True),
    ({"name": "one_cycle", "tau": 80}, True, False),
    ({"name": "warm_up", "steps": 20}, True, False),
    ({"name": "plateau", "lowest": 0.001}, True, False),
    ({"name": "pieces", "pieces": "cosine to 0 in 50"}, False, True),
    ({"name": "pieces", "pieces": "linear to 10% in 50"}, True, False),
    ({"name": "pieces", "pieces": "inverse 7"}, True, True),
    ({"name": "pieces", "pieces": "inverse root 7"}, True, False),
    ({"name": "pieces", "pieces": "repeat (from 100%; cosine to 0 in 64)"}, True, False),
]


@pytest.mark.parametrize(
    ("values", "diverges", "converge"),
    CONDITIONS,
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_that_the_conditions_for_convergence_are_those_of_the_rates_themselves(
    values: dict[str, Any], diverges: bool, converge: bool
) -> None:
    schedule: Any = registry.build("schedule", values)
    assert (schedule.sum_diverges, schedule.squares_converge) == (diverges, converge)

    def growth(power: int) -> float:
        # Cauchy's condensation: a sum diverges if stretches of doubling length do not add less and
        # less.
        first, second = (
            sum(schedule.rate(LR, step) ** power for step in range(begin, 2 * begin))
            for begin in (4096, 8192)
        )
        return second / first if first > 0.0 else 0.0

    assert (growth(1) > 0.95) == diverges
    assert (growth(2) < 0.6) == converge


def test_that_the_conditions_of_every_schedule_are_tested() -> None:
    assert {values["name"] for values, _, _ in CONDITIONS} == set(registry.names("schedule"))


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("inverse", "yes", "yes"), ("constant", "yes", "no"), ("exponential", "no", "yes")],
)
def test_that_the_page_tells_whether_the_conditions_hold(
    name: str, first: str, second: str
) -> None:
    words = f"With these defaults Σ ε_k = ∞ (8.12): {first}; Σ ε_k² < ∞ (8.13): {second}."
    assert page(registry.get("schedule", name)).explanation[-1] == words
