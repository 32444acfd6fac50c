"""A run inside a population gives the numbers of the same run alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment

Build = Callable[..., Experiment]
STEPS = 200


def members(build: Build, kind: str) -> list[Experiment]:
    if kind == "rates_and_seeds":
        return [
            build(seed=seed, optimizer={"lr": lr})
            for seed, lr in [(1, 0.01), (2, 0.05), (3, 0.2), (1, 0.05)]
        ]
    if kind == "optimizers":
        return [
            build(optimizer={"name": "adam", "lr": 0.01}),
            build(optimizer={"name": "sgd"}),
            build(optimizer={"name": "nesterov", "momentum": 0.5}),
            build(optimizer={"name": "adam", "lr": 0.02, "beta1": 0.8, "eps": 1e-4}),
            build(optimizer={"name": "momentum", "momentum": 0.8}),
            build(optimizer={"name": "nesterov", "form": "torch"}),
        ]
    if kind == "schedules":
        return [
            build(),
            build(schedule={"name": "linear_decay", "tau": 100}),
            build(
                schedule={"name": "linear_decay", "tau": 37, "last": 0.2}, optimizer={"name": "sgd"}
            ),
        ]
    if kind == "clipping":
        return [
            build(clipping={"name": "norm", "threshold": 0.05}),
            build(),
            build(clipping={"name": "norm", "threshold": 0.5}),
        ]
    assert kind == "orders"
    return [
        build(batches={"name": name, "size": 16})
        for name in ("shuffled", "shuffled_once", "never_shuffled")
    ] + [build(seed=9)]


@pytest.mark.parametrize(
    "kind", ["rates_and_seeds", "optimizers", "schedules", "clipping", "orders"]
)
def test_that_a_run_in_a_population_gives_the_numbers_of_the_run_alone(
    build: Build, advanced: Any, kind: str
) -> None:
    experiments = members(build, kind)
    together = advanced(experiments, STEPS)
    series = together.recorder.flush()
    evaluated = together.evaluate()
    assert len({row.tobytes() for row in together.theta.numpy()}) == len(experiments), (
        "the runs do not differ"
    )
    for run, experiment in enumerate(experiments):
        alone = advanced(experiment, STEPS)
        torch.testing.assert_close(together.theta[run], alone.theta[0], rtol=1e-10, atol=1e-12)
        mine = alone.recorder.flush()
        # A run that clips nothing has no such series when it is alone; here it is one of zeros.
        assert set(series) - set(mine) <= {"clipped_share"} and set(mine) <= set(series)
        if "clipped_share" not in mine and "clipped_share" in series:
            assert not series["clipped_share"].values[:, run].any()
        for name, values in mine.items():
            np.testing.assert_array_equal(values.steps, series[name].steps)
            np.testing.assert_allclose(
                series[name].values[:, run],
                values.values[:, 0],
                rtol=1e-10,
                atol=1e-12,
                err_msg=name,
            )
        for name, values in alone.evaluate().items():
            np.testing.assert_allclose(evaluated[name][run], values[0], rtol=1e-10, err_msg=name)
        torch.testing.assert_close(
            together.full_gradient_norm()[run], alone.full_gradient_norm()[0], rtol=1e-9, atol=0.0
        )


def test_that_a_changed_value_reaches_one_run_only(build: Build, advanced: Any) -> None:
    experiments = [build(), build(seed=2), build(seed=3)]
    together, alone = advanced(experiments, 20), advanced(experiments[1], 20)
    together.set_value("optimizer.momentum", 0.5, run=1)
    alone.set_value("optimizer.momentum", 0.5)
    untouched = advanced(experiments[2], 40)
    for trainer in (together, alone):
        for _ in range(20):
            trainer.advance()
    torch.testing.assert_close(together.theta[1], alone.theta[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(together.theta[2], untouched.theta[0], rtol=1e-10, atol=1e-12)


def test_that_snapshots_of_a_population_resume_as_the_population(
    build: Build, advanced: Any
) -> None:
    experiments = [build(), build(optimizer={"name": "adam"}), build(seed=5)]
    straight = advanced(experiments, 30)
    half = advanced(experiments, 17)
    snapshots = [half.snapshot(run, 0.0, "asked") for run in range(3)]
    assert torch.equal(advanced(experiments, 13, snapshots=snapshots).theta, straight.theta)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dataset": {"name": "circles", "size": 120}}, "dataset.name"),
        ({"dataset": {"name": "moons", "size": 130}}, "dataset.size"),
        ({"model": {"name": "mlp", "hidden": [6]}}, "model"),
        ({"budget": {"seconds": 61.0}}, "budget.seconds"),
        ({"measures": {"weights": 3}}, "measures"),
        ({"precision": "float32"}, "precision"),
        ({"threads": 2}, "threads"),
        ({"batches": {"name": "shuffled", "size": 8}}, "batches.size"),
    ],
)
def test_that_what_a_population_shares_must_agree(
    build: Build, advanced: Any, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(
        InvalidInput, match="Run 2 of a population differs from run 1 in"
    ) as refusal:
        advanced([build(), build(**change)], 0)
    assert refusal.value.field == field
