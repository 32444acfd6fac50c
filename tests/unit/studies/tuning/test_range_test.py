"""Choosing a rate: on problems whose edge of stability is known, and on digits, where the advice
has to train well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core import paths
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.studies.tuning.range_test import SMOOTHING, range_test, smoothed
from optlab.studies.tuning.short_runs import rates_around, short_runs

Build = Callable[..., Experiment]


def bowl(build: Build, condition: float = 30.0, **changes: Any) -> Experiment:
    """Full-batch gradient descent on least squares."""
    data = {
        "name": "least_squares",
        "size": 200,
        "condition": condition,
        "validation": 0.0,
        "test": 0.0,
    }
    return build(
        **{
            "dataset": data,
            "model": {"name": "linear"},
            "optimizer": {"name": "sgd"},
            "batches": {"size": 0},
            **changes,
        }
    )


def stability_edge(experiment: Experiment) -> float:
    """2/λ₁ of the mean squared error of a linear model."""
    x = experiment.dataset.load().training.x
    design = np.column_stack([x, np.ones(len(x))])
    return float(2.0 / np.linalg.eigvalsh(2.0 * design.T @ design / len(design)).max())


@pytest.mark.parametrize("condition", [1.0, 30.0, 1000.0])
def test_that_on_a_quadratic_instability_is_found_at_two_over_the_largest_curvature(
    build: Build, condition: float
) -> None:
    experiment = bowl(build, condition)
    edge = stability_edge(experiment)
    test = range_test(experiment)
    assert test.edge is not None and 0.9 * edge < test.edge < 1.1 * edge
    assert test.steepest < edge
    runs = short_runs(experiment, rates_around(test))
    assert runs.best is not None and runs.unstable is not None and runs.advised is not None
    below = runs.rates[runs.rates < runs.unstable].max()
    assert 0.98 * below < edge < 1.1 * runs.unstable and runs.unstable < 1.4 * below
    assert runs.best <= runs.advised <= below


@pytest.mark.parametrize(("name", "factor"), [("momentum", 1.9), ("nesterov", 1.9 / 2.8)])
def test_that_momentum_moves_the_edge_of_the_range_test(
    build: Build, name: str, factor: float
) -> None:
    experiment = bowl(build, optimizer={"name": name, "momentum": 0.9})
    test, edge = range_test(experiment), factor * stability_edge(experiment)
    assert test.edge is not None and 0.7 * edge < test.edge < 1.4 * edge
    assert f"instability begins at about {test.edge:.3g}" in test.explanation


def test_that_the_edge_of_minibatch_training_is_that_of_short_runs() -> None:
    experiment = Experiment.load(paths.presets() / "digits-mlp.toml").with_value("device", "cpu")
    test = range_test(experiment)
    runs = short_runs(experiment, rates_around(test))
    assert test.edge is not None and runs.unstable is not None
    assert 0.5 * runs.unstable < test.edge < 2.0 * runs.unstable


def test_that_a_range_test_takes_the_steps_of_descent_at_rising_rates(build: Build) -> None:
    experiment = bowl(build)
    test = range_test(experiment, 1e-3, 0.5, 60)
    np.testing.assert_allclose(test.rates, np.geomspace(1e-3, 0.5, 60), rtol=1e-12)
    data = experiment.dataset.load().training
    x, y = torch.from_numpy(data.x).double(), torch.from_numpy(data.y).double()
    model = torch.nn.Linear(5, 1, dtype=torch.float64)
    from optlab.training.trainer import Trainer

    start = Trainer([experiment]).theta[0]
    with torch.no_grad():
        model.weight.copy_(start[:5].view(1, 5))
        model.bias.copy_(start[5:])
    for rate, ours in zip(test.rates, test.losses, strict=True):
        loss = torch.nn.functional.mse_loss(model(x), y)
        assert ours == pytest.approx(loss.item(), rel=1e-9)
        for parameter, g in zip(
            model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
        ):
            parameter.data -= rate * g
    assert test.edge is None and "larger ones may do better" in test.explanation


def test_that_smoothing_is_an_average_whose_weights_add_up_to_one() -> None:
    losses = np.random.default_rng(0).standard_normal((30, 2))
    for step, row in enumerate(smoothed(losses)):
        weights = SMOOTHING ** np.arange(step, -1, -1)
        np.testing.assert_allclose(row, weights @ losses[: step + 1] / weights.sum(), rtol=1e-12)


def test_that_short_runs_are_those_of_runs_alone_at_their_rates(
    build: Build, advanced: Any
) -> None:
    rates = [0.02, 0.3]
    experiment = build(
        optimizer={"name": "momentum", "lr": 123.0}, schedule={"name": "linear_decay"}
    )
    runs = short_runs(experiment, rates, steps=30)
    for place, rate in enumerate(runs.rates):
        trainer = advanced(build(optimizer={"name": "momentum", "lr": float(rate)}), 30)
        assert runs.train_loss[place] == pytest.approx(
            trainer.evaluate()["train_loss"].item(), rel=1e-9
        )
        np.testing.assert_allclose(
            runs.losses[:, place], trainer.recorder.flush()["batch_loss"].values[:, 0], rtol=1e-9
        )
    assert set(rates) <= set(runs.rates.tolist())


def test_that_on_digits_the_advised_rate_trains_better_than_a_tenth_of_it_and_does_not_diverge(
    play: Any, ended: Any
) -> None:
    experiment = (
        Experiment.load(paths.presets() / "digits-mlp.toml")
        .with_value("device", "cpu")
        .with_value("budget.steps", "300")
    )
    test = range_test(experiment)
    runs = short_runs(experiment, rates_around(test))
    assert runs.advised is not None and runs.best is not None and runs.unstable is not None
    assert runs.best < runs.advised < runs.unstable
    assert (runs.tau, runs.last) == (300, 0.01)
    for suggested in (test.steepest, runs.advised):
        advised = experiment.with_value("schedule.name", "linear_decay").with_value(
            "schedule.tau", str(runs.tau)
        )
        results = [
            ended(play(advised.with_value("optimizer.lr", str(rate))))
            for rate in (suggested, suggested / 10.0)
        ]
        assert results[0].status == "finished"
        assert results[0].final["train_loss"] < 0.7 * results[1].final["train_loss"]
    assert ended(play(experiment.with_value("optimizer.lr", "2.0"))).final["train_loss"] > 1.0, (
        "this is what instability looks like"
    )
    assert f"{runs.advised:.3g}" in runs.explanation and f"{test.steepest:.3g}" in test.explanation


def test_that_a_population_whose_runs_all_break_gives_no_advice(build: Build) -> None:
    runs = short_runs(bowl(build), [1e200, 1e250], steps=40)
    assert runs.best is None and runs.advised is None and not runs.stable.any()
    assert np.isinf(runs.train_loss).all() and "smaller" in runs.explanation


def test_that_whoever_is_told_of_the_progress_can_end_the_test(build: Build) -> None:
    class EnoughError(Exception):
        pass

    reported: list[float] = []

    def on_progress(done: float) -> None:
        reported.append(done)
        if done > 0.1:
            raise EnoughError

    with pytest.raises(EnoughError):
        range_test(bowl(build), on_progress=on_progress)
    assert reported == sorted(reported) and len(reported) == 21
    reported.clear()
    short_runs(bowl(build), [0.01, 0.1, 3.0], steps=10, on_progress=reported.append)
    assert reported == sorted(reported) and reported[-1] == 1.0


@pytest.mark.parametrize(
    ("changes", "first", "last", "steps", "message"),
    [
        ({}, 0.0, 1.0, 50, "above 0"),
        ({}, 1.0, 0.1, 50, "at least as large"),
        ({}, 1.0, 1.0, 50, "above the first"),
        ({}, 0.1, 1.0, 5, "20 steps"),
        ({"optimizer": {"name": "lbfgs"}}, 0.1, 1.0, 50, "no learning rate"),
        ({}, 1e200, 1e300, 50, "smaller rate"),
    ],
)
def test_that_what_cannot_be_tested_is_refused_in_words(
    build: Build, changes: dict[str, Any], first: float, last: float, steps: int, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        range_test(bowl(build, **changes), first, last, steps)


def test_that_rates_beyond_the_largest_are_tried_where_that_is_the_best(build: Build) -> None:
    experiment = bowl(build)
    runs = short_runs(experiment, [0.001, 0.01, 0.2])
    assert runs.best is not None and runs.best > 0.2 and runs.rates[-1] < 2.0
    assert runs.unstable is not None and runs.unstable > stability_edge(experiment) * 0.98
