"""Reduce on plateau: compared with torch's scheduler; its memory is stored with the run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core import registry
from optlab.experiment import Experiment
from optlab.experiment.pages import page
from optlab.training.control import Stop
from optlab.training.events import SeriesBlock, SnapshotTaken

Build = Callable[..., Experiment]
LR = 0.3
PLATEAU = {"name": "plateau", "factor": 0.5, "patience": 1, "improvement": 0.02}
RUN = {"optimizer": {"name": "momentum", "lr": 0.2}, "budget": {"steps": 300}}


def losses(seed: int) -> list[float]:
    """Falling, then noisy and level, with values that are no numbers between."""
    rng = np.random.default_rng(seed)
    values = np.exp(-np.arange(120) / 15.0) + 0.3 + 0.05 * rng.standard_normal(120)
    values[rng.integers(0, 120, 4)] = math.nan
    values[rng.integers(0, 120, 2)] = math.inf
    return [float(value) for value in values]


@pytest.mark.parametrize(
    ("patience", "cooldown", "improvement"),
    list(itertools.product([0, 2, 7], [0, 3], [0.0, 1e-4, 0.1])),
)
@pytest.mark.parametrize("lowest", [0.0, 0.01])
def test_that_the_rate_is_torchs_on_random_losses(
    patience: int, cooldown: int, improvement: float, lowest: float
) -> None:
    ours: Any = registry.build(
        "schedule",
        {
            "name": "plateau",
            "factor": 0.6,
            "patience": patience,
            "cooldown": cooldown,
            "improvement": improvement,
            "lowest": lowest,
        },
    )
    for seed in range(4):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
        batch_objective = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=0.6,
            patience=patience,
            cooldown=cooldown,
            threshold=improvement,
            threshold_mode="rel",
            min_lr=lowest,
            eps=0.0,
        )
        memory: Mapping[str, float] = {}
        assert ours.rate_given(LR, 0, memory) == ours.rate(LR, 0) == LR
        cuts = 0
        for step, loss in enumerate(losses(seed)):
            batch_objective.step(loss)
            before, memory = (
                memory,
                ours.observed(memory, {"train_loss": -1.0, "validation_loss": loss}),
            )
            assert ours.rate_given(LR, step, memory) == pytest.approx(
                optimizer.param_groups[0]["lr"], rel=1e-12
            ), (seed, step)
            cuts += memory["cuts"] > before.get("cuts", 0.0)
        assert cuts > 0


def test_that_a_rate_below_the_lowest_stays_and_is_not_raised_to_it() -> None:
    ours: Any = registry.build("schedule", {"name": "plateau", "lowest": 0.1})
    assert ours.rate_given(0.01, 0, {"cuts": 3.0}) == 0.01


def test_that_without_a_validation_part_the_training_loss_is_watched() -> None:
    ours: Any = registry.build("schedule", {"name": "plateau", "patience": 0})
    assert ours.observed(ours.observed({}, {"train_loss": 1.0}), {"train_loss": 1.0})["cuts"] == 1.0


def test_that_its_page_says_that_the_conditions_depend_on_the_losses_unless_there_is_a_lowest_rate() -> (
    None
):
    words = "With these defaults Σ ε_k = ∞ (8.12): depends on the losses; Σ ε_k² < ∞ (8.13): depends on the losses."
    assert page(registry.get("schedule", "plateau")).explanation[-1] == words
    limited: Any = registry.build("schedule", {"name": "plateau", "lowest": 1e-4})
    assert limited.derived_facts() == ("Σ ε_k = ∞ (8.12): yes; Σ ε_k² < ∞ (8.13): no.",)


def series(events: list[Any], name: str, run: int = 0) -> dict[int, float]:
    return {
        int(step): float(values[run])
        for event in events
        if isinstance(event, SeriesBlock) and name in event.series
        for step, values in zip(event.series[name].steps, event.series[name].values, strict=True)
    }


def kept(events: list[Any], run: int = 0) -> Any:
    return next(
        event.snapshot
        for event in events
        if isinstance(event, SnapshotTaken) and event.snapshot.reason == "end" and event.run == run
    )


def test_that_a_run_takes_the_rates_that_its_own_validation_losses_give(
    build: Build, play: Any
) -> None:
    experiment = build(schedule=PLATEAU, **RUN)
    events = play(experiment)
    rates, seen = series(events, "learning_rate"), series(events, "validation_loss")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    batch_objective = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=1, threshold=0.02, eps=0.0
    )
    for step in range(1, 301):
        assert rates[step] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12), step
        if step in seen:
            batch_objective.step(seen[step])
    assert rates[300] < 0.05, "the rate was cut more than once"


@pytest.mark.parametrize("stop", [7, 120, 155, 203])
def test_that_a_resumed_run_equals_one_that_was_not(
    build: Build, play: Any, ended: Any, stop: int
) -> None:
    experiment = build(schedule=PLATEAU, stopping={"name": "early", "patience": 40}, **RUN)
    straight = play(experiment)
    snapshot = kept(play(experiment, at={stop: [Stop()]}))
    assert snapshot.step == stop
    resumed = play(experiment, snapshots=[snapshot])
    for of in ("steps", "theta_sha256", "final", "reason"):
        assert getattr(ended(resumed), of) == getattr(ended(straight), of)
    rates = series(straight, "learning_rate")
    assert series(resumed, "learning_rate") == {
        step: rate for step, rate in rates.items() if step > stop
    }
    assert kept(resumed).memory == kept(straight).memory
    assert {"schedule.best", "schedule.cuts"} <= set(snapshot.memory) or stop == 7


def test_that_runs_of_a_population_are_cut_as_alone(build: Build, play: Any, ended: Any) -> None:
    plans = [
        PLATEAU,
        {**PLATEAU, "patience": 4},
        {"name": "linear_decay", "tau": 100},
        {**PLATEAU, "factor": 0.2, "cooldown": 2},
    ]
    members = [build(schedule=plan, seed=seed, **RUN) for seed, plan in enumerate(plans)]
    together = play(members)
    for run, member in enumerate(members):
        alone = play(member)
        assert series(together, "learning_rate", run) == pytest.approx(
            series(alone, "learning_rate"), rel=1e-12
        )
        np.testing.assert_allclose(
            kept(together, run).theta, kept(alone).theta, rtol=1e-10, atol=1e-12
        )
    assert len({series(together, "learning_rate", run)[300] for run in range(4)}) == 4
