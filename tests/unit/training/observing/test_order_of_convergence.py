"""The order of convergence depends on the sampling order: in the program, and in a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from optlab.core import registry
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

N, STEPS, TAU = 40, 16_000, 100
RATE = 0.2
EVERY = 2 * N + 30
"""Readings fall on all parts of an epoch: at the ends of reshuffled epochs alone, the excess of a
quadratic falls faster at first.
"""
SLOPES = {"with_replacement": -1.0, "shuffled": -2.0, "never_shuffled": -2.0, "shuffled_once": -2.0}


def order(steps: NDArray[np.float64], excess: NDArray[np.float64]) -> float:
    """The slope of a line through the last decade on logarithmic axes."""
    late = steps >= 0.1 * steps[-1]
    return float(np.polyfit(np.log(steps[late]), np.log(excess[late]), 1)[0])


@pytest.mark.parametrize("name", ["with_replacement", "shuffled", "never_shuffled"])
def test_that_a_simulation_of_least_squares_has_the_order_of_its_sampling(name: str) -> None:
    """Independent of the program: NumPy, one example a step, many repetitions."""
    source = np.random.default_rng(0)
    x, repetitions = source.normal(size=N), 40
    y = x + source.normal(size=N)
    best = (x @ y) / (x @ x)
    theta = np.zeros(repetitions)
    steps, excess = [], []
    orders = np.tile(np.arange(N), (repetitions, 1))
    for k in range(STEPS):
        if k % N == 0 and name == "shuffled":
            orders = source.permuted(orders, axis=1)
        i = source.integers(N, size=repetitions) if name == "with_replacement" else orders[:, k % N]
        theta -= RATE / (1.0 + k / TAU) * x[i] * (x[i] * theta - y[i])
        if (k + 1) % EVERY == 0:
            steps.append(k + 1.0)
            excess.append(((theta - best) ** 2).mean())
    assert order(np.array(steps), np.array(excess)) == pytest.approx(SLOPES[name], abs=0.25)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.soak] if place else [])
        for place, name in enumerate(SLOPES)
    ],
)
def test_that_the_instrument_expects_the_order_that_it_measures(name: str) -> None:
    members = [
        Experiment.from_dict(
            {
                "seed": seed,
                "device": "cpu",
                "precision": "float64",
                "dataset": {
                    "name": "least_squares",
                    "size": N,
                    "dimension": 2,
                    "condition": 2.0,
                    "noise": 1.0,
                    "validation": 0.0,
                    "test": 0.0,
                },
                "model": {"name": "linear"},
                "loss": {"name": "squared_error"},
                "optimizer": {"name": "sgd", "lr": RATE / 2.0},
                "schedule": {"name": "inverse", "tau": TAU},
                "batches": {"name": name, "size": 1},
                "instruments": {"excess_error": {"every": EVERY, "known": True}},
            }
        )
        for seed in range(8)
    ]
    data = members[0].dataset.load().training
    design = np.concatenate([data.x, np.ones((N, 1))], axis=1)
    residual = np.linalg.lstsq(design, data.y, rcond=None)[1]
    least = float(residual.sum()) / N
    members = [
        member.with_value("instruments.excess_error.minimum", repr(least)) for member in members
    ]
    trainer = Trainer(members)
    for _ in range(STEPS):
        trainer.advance()
    series = trainer.recorder.flush()
    excess = series["excess_error.excess"]
    found = order(excess.steps[1:].astype(float), excess.values[1:].mean(axis=1))
    expected = series["excess_error.expected"].values[-1]
    assert expected.tolist() == [SLOPES[name]] * 8
    assert found == pytest.approx(SLOPES[name], abs=0.25)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("shuffled", 10, -2.0),
        ("shuffled", 7, -1.0),
        ("curriculum", 10, -2.0),
        ("never_shuffled", 7, None),
        ("shuffled_once", 10, -2.0),
        ("sorted_by_class", 10, -2.0),
        ("with_replacement", 7, -1.0),
        ("shuffled", 0, None),
        ("never_shuffled", 40, None),
        ("streaming", 1, None),
        ("replay_buffer", 1, None),
    ],
)
def test_that_every_sampling_order_says_what_it_makes_possible(
    name: str, size: int, expected: float | None
) -> None:
    batches = registry.build("batches", {"name": name, "size": size})
    assert batches.expected_order(40) == expected  # type: ignore[attr-defined]


def test_that_nothing_is_expected_of_a_constant_rate() -> None:
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "least_squares", "size": N, "validation": 0.0, "test": 0.0},
            "model": {"name": "linear"},
            "loss": {"name": "squared_error"},
            "optimizer": {"name": "sgd", "lr": 0.01},
            "batches": {"name": "shuffled", "size": 1},
            "instruments": {"excess_error": {"every": 10}},
        }
    )
    trainer = Trainer([experiment])
    for _ in range(200):
        trainer.advance()
    series = trainer.recorder.flush()
    assert "excess_error.slope" in series and "excess_error.expected" not in series
