"""The test part: evaluated at the end, and by nothing that chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.core import registry
from optlab.experiment import Experiment
from optlab.training.events import SeriesBlock

Build = Callable[..., Experiment]


def test_that_the_final_numbers_are_those_of_the_test_part(
    build: Build, play: Any, ended: Any, advanced: Any
) -> None:
    experiment = build(loss={"name": "cross_entropy", "l2": 0.5}, budget={"steps": 20})
    final = ended(play(experiment)).final
    trainer = advanced(experiment, 20)
    w0, b0, w1, b1 = (part[0] for part in trainer.layout.split(trainer.theta))
    part = experiment.dataset.load().test
    assert len(part)
    outputs = torch.tanh(torch.from_numpy(part.x) @ w0.T + b0) @ w1.T + b1
    y = torch.from_numpy(part.y)
    assert final["test_loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(outputs, y).item(), rel=1e-12
    )
    assert final["test_error"] == pytest.approx(
        (outputs.argmax(1) != y).double().mean().item(), rel=1e-12
    )


def test_that_after_early_stopping_they_are_those_of_the_restored_parameters(
    build: Build, play: Any, ended: Any, advanced: Any
) -> None:
    experiment = build(
        stopping={"name": "early", "patience": 6},
        optimizer={"name": "momentum", "lr": 0.2},
        budget={"steps": 2000},
    )
    end = ended(play(experiment))
    best = advanced(experiment, end.steps - 6 * 5).test_performance()
    last = advanced(experiment, end.steps).test_performance()
    assert end.final["test_loss"] == best.loss.item() != last.loss.item()


def test_that_runs_of_a_population_get_what_they_get_alone(
    build: Build, play: Any, ended: Any
) -> None:
    members = [build(seed=seed, budget={"steps": 20}) for seed in range(3)]
    together = play(members)
    for run, member in enumerate(members):
        alone = ended(play(member)).final
        assert ended(together, run).final["test_loss"] == pytest.approx(
            alone["test_loss"], rel=1e-10
        )
        assert ended(together, run).final["test_error"] == pytest.approx(
            alone["test_error"], rel=1e-10
        )


def test_that_regression_has_no_test_error_and_an_empty_part_nothing(
    build: Build, play: Any, ended: Any
) -> None:
    regression = {
        "model": {"name": "linear"},
        "loss": {"name": "squared_error"},
        "optimizer": {"name": "sgd", "lr": 0.01},
    }
    final = ended(
        play(build(**regression, dataset={"name": "diabetes"}, budget={"steps": 5}))
    ).final
    assert final["test_loss"] is not None and final["test_error"] is None
    final = ended(
        play(build(**regression, dataset={"name": "diabetes", "test": 0.0}, budget={"steps": 5}))
    ).final
    assert final["test_loss"] is None and final["test_error"] is None


def test_that_nothing_that_chooses_sees_the_test_part(
    build: Build, play: Any, advanced: Any
) -> None:
    assert not [
        measure.name for measure in registry.components("measure") if "test" in measure.name
    ]
    assert not [name for name in advanced(build(), 1).evaluate(gradient=True) if "test" in name]
    assert not [
        name
        for event in play(build())
        if isinstance(event, SeriesBlock)
        for name in event.series
        if "test" in name
    ]
