"""Runs that break: found within the step, named, and kept at their last finite state, on the device
as on the host.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.experiment import Experiment
from optlab.training.control import SetValue
from optlab.training.divergence import RunEnding
from optlab.training.events import SeriesBlock, SnapshotTaken
from optlab.training.population import Population
from optlab.training.session import _Session
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
REGRESSION = {"dataset": {"name": "diabetes"}, "loss": {"name": "squared_error"}}
DEEP = {"model": {"name": "mlp", "hidden": [1], "activation": "identity"}, **REGRESSION}


def start_from(experiment: Experiment, theta: list[float] | None, deferred: bool) -> Trainer:
    """A trainer at given parameters (the start where None)."""
    if theta is None:
        return Trainer([experiment], deferred=deferred)
    snapshot = dataclasses.replace(
        Trainer([experiment]).snapshot(0, 0.0, "asked"), theta=np.array(theta)
    )
    return Trainer([experiment], [snapshot], deferred=deferred)


def run_out(trainer: Trainer, steps: int) -> Trainer:
    """As a session does it: learning of endings at every step, or of a block's endings at once."""
    for _ in range(steps):
        if not trainer.alive:
            break
        trainer.advance()
    trainer.sync_divergence()
    return trainer


# Parameters of DEEP: 10 weights, bias, 1 weight, bias.
CASES: dict[str, tuple[dict[str, Any], list[float] | None, str, int]] = {
    # name: experiment, start, what breaks, step whose state is kept
    "outputs of a later layer": (DEEP, [1e200] * 10 + [0.0, 1e200, 0.0], "layers.1", 0),
    "outputs after a huge step": (
        {**DEEP, "optimizer": {"name": "sgd", "lr": 1e160}},
        [0.1] * 10 + [0.0, 0.1, 0.0],
        "layers.1",
        0,
    ),
    "loss": (DEEP, [0.0] * 12 + [1e200], "loss", 0),
    "loss after a huge step": (
        {**REGRESSION, "model": {"name": "linear"}, "optimizer": {"name": "sgd", "lr": 1e200}},
        None,
        "loss",
        0,
    ),
    "gradient": (DEEP, [0.0] * 11 + [1e200, 1e150], "gradient of layers.0.weight", 0),
    "parameters": (
        {**REGRESSION, "model": {"name": "linear"}, "optimizer": {"name": "sgd", "lr": 1.7e308}},
        [1e6] * 11,
        "layers.0.weight",
        0,
    ),
    "after some steps": (
        {**REGRESSION, "model": {"name": "linear"}, "optimizer": {"name": "sgd", "lr": 1e30}},
        None,
        "loss",
        -1,
    ),
    "with momentum": (
        {**REGRESSION, "model": {"name": "linear"}, "optimizer": {"name": "nesterov", "lr": 1e30}},
        None,
        "loss",
        -1,
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("deferred", [False, True])
def test_that_a_run_diverges_and_names_the_non_finite_tensor(
    build: Build, case: str, deferred: bool
) -> None:
    changes, theta, broken, kept = CASES[case]
    trainer = run_out(start_from(build(**changes), theta, deferred), 12)
    ending = trainer.endings[0]
    assert ending.status == "diverged"
    assert ending.non_finite_tensor == broken
    assert ending.reason.startswith(f"{broken} is not finite (")
    assert kept in (ending.step, -1)
    assert torch.isfinite(trainer.theta).all()
    assert ending.last_reported_step - ending.step in (1, 2)


@pytest.mark.parametrize("case", CASES)
def test_that_the_check_on_the_device_ends_a_run_as_the_check_on_the_host(
    build: Build, case: str
) -> None:
    changes, theta, _, _ = CASES[case]
    host = run_out(start_from(build(**changes), theta, False), 12)
    device = run_out(start_from(build(**changes), theta, True), 12)
    assert device.endings == host.endings
    assert torch.equal(device.theta, host.theta)
    first, second = device.snapshot(0, 0.0, "end"), host.snapshot(0, 0.0, "end")
    assert first.step == second.step
    assert {name: value.tobytes() for name, value in first.state.items()} == {
        name: value.tobytes() for name, value in second.state.items()
    }


def test_that_the_kept_state_is_that_of_the_named_step(build: Build) -> None:
    experiment = build(
        **REGRESSION, model={"name": "linear"}, optimizer={"name": "momentum", "lr": 1e30}
    )
    trainer = run_out(Trainer([experiment]), 12)
    ending = trainer.endings[0]
    assert ending.step > 0
    again = Trainer([experiment])
    for _ in range(ending.step):
        again.advance()
    assert torch.equal(trainer.theta, again.theta)
    again.advance()
    if ending.last_reported_step == ending.step + 2:
        assert torch.isfinite(again.theta).all(), (
            "the parameters after the kept step are finite, but their loss is not"
        )
        again.advance()
    assert again.endings[0] == ending


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("rate", [1e30, 1e160, 1.7e308])
def test_that_one_run_diverges_and_the_others_finish_as_if_alone(
    build: Build, advanced: Any, deferred: bool, rate: float
) -> None:
    def member(lr: float, name: str = "sgd") -> Experiment:
        return build(**REGRESSION, model={"name": "linear"}, optimizer={"name": name, "lr": lr})

    experiments = [member(0.01), member(rate), member(0.02, "momentum"), member(rate, "momentum")]
    together = Trainer(experiments, deferred=deferred)
    for _ in range(50):
        together.advance()
    together.sync_divergence()
    assert sorted(together.endings) == [1, 3]
    for run in (0, 2):
        alone = advanced(experiments[run], 50)
        torch.testing.assert_close(together.theta[run], alone.theta[0], rtol=1e-10, atol=1e-12)
    for run in (1, 3):
        alone = run_out(Trainer([experiments[run]]), 12)
        assert (together.endings[run].step, together.endings[run].last_reported_step) == (
            alone.endings[0].step,
            alone.endings[0].last_reported_step,
        )
        torch.testing.assert_close(together.theta[run], alone.theta[0], rtol=1e-9, atol=0.0)


def test_that_a_run_that_ended_keeps_its_state_while_others_diverge(
    build: Build,
) -> None:
    stays = build(**REGRESSION, model={"name": "linear"}, optimizer={"name": "sgd", "lr": 0.01})
    breaks = build(**REGRESSION, model={"name": "linear"}, optimizer={"name": "sgd", "lr": 1e30})
    for deferred in (False, True):
        trainer = Trainer([stays, breaks], deferred=deferred)
        trainer.advance()
        trainer.end(0, "finished", "enough")
        kept = trainer.theta[0].clone()
        for _ in range(20):
            trainer.advance()
        trainer.sync_divergence()
        assert torch.equal(trainer.theta[0], kept)
        assert trainer.endings[0] == RunEnding(1, "finished", "enough", 1)
        assert trainer.endings[1].status == "diverged"


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("every", [1, 10_000])
def test_that_a_session_reports_the_diverging_step_and_keeps_finite_parameters(
    build: Build, script: Any, ended: Any, deferred: bool, every: int
) -> None:
    experiment = build(
        **REGRESSION,
        model={"name": "linear"},
        optimizer={"name": "sgd", "lr": 1e30},
        measures={"evaluate_every": every},
    )
    events = list(_Session(Trainer([experiment], deferred=deferred), script(), None).events())
    end = ended(events)
    assert end.status == "diverged"
    assert end.non_finite_tensor == "loss"
    losses = np.concatenate(
        [
            e.series["batch_loss"].values[:, 0]
            for e in events
            if isinstance(e, SeriesBlock) and "batch_loss" in e.series
        ]
    )
    assert len(losses) == end.steps + 2
    assert np.isfinite(losses[:-1]).all()
    assert not math.isfinite(losses[-1])
    evaluated = [
        step
        for e in events
        if isinstance(e, SeriesBlock) and "train_loss" in e.series
        for step in e.series["train_loss"].steps
    ]
    assert max(evaluated) <= end.steps + 1
    (snapshot,) = [
        e.snapshot
        for e in events
        if isinstance(e, SnapshotTaken) and e.snapshot.reason == "last_finite"
    ]
    assert np.isfinite(snapshot.theta).all()
    assert end.theta_sha256 == hashlib.sha256(snapshot.theta.tobytes()).hexdigest()
    assert snapshot.step == end.steps


def test_that_both_checks_make_the_same_session(build: Build, script: Any) -> None:
    def member(lr: float) -> Experiment:
        return build(
            **REGRESSION,
            model={"name": "linear"},
            optimizer={"name": "sgd", "lr": lr},
            measures={"evaluate_every": 3},
        )

    experiments = [member(0.01), member(1e30), member(1e60)]
    reported = []
    for deferred in (False, True):
        events = list(_Session(Trainer(experiments, deferred=deferred), script(), None).events())
        values: dict[str, list[Any]] = {}
        for event in events:
            if isinstance(event, SeriesBlock):
                for name, series in event.series.items():
                    values.setdefault(name, []).append(series)
        joined = {name: np.concatenate([s.values for s in parts]) for name, parts in values.items()}
        steps = {name: np.concatenate([s.steps for s in parts]) for name, parts in values.items()}
        ends = [
            dataclasses.replace(e, seconds=0.0)
            for e in sorted(
                (e for e in events if type(e).__name__ == "RunEnded"), key=lambda e: e.run
            )
        ]
        reported.append((ends, joined, steps))
    assert reported[0][0] == reported[1][0]
    for name in ("batch_loss", "gradient_norm", "update_norm"):
        np.testing.assert_array_equal(reported[0][2][name], reported[1][2][name])
        for run in range(3):
            # The loss of these runs diverges: its step is reported, and it is the second after the state
            # that is kept.
            last = reported[0][0][run].steps + (
                2 if reported[0][0][run].status == "diverged" else 0
            )
            for _, values, _ in reported:
                np.testing.assert_array_equal(
                    values[name][:last, run], reported[0][1][name][:last, run], err_msg=name
                )
                assert np.isnan(values[name][last:, run]).all()


def test_that_a_value_changed_after_a_run_diverged_does_not_change_the_reason(build: Build) -> None:
    experiment = build(
        **REGRESSION, model={"name": "linear"}, optimizer={"name": "sgd", "lr": 1e30}
    )
    trainer = Trainer([experiment], deferred=True)
    for _ in range(12):
        trainer.advance()
    trainer.set_value("optimizer.lr", 0.01)
    assert trainer.endings[0] == run_out(Trainer([experiment]), 12).endings[0]


def test_that_a_rate_raised_too_far_during_the_run_ends_it(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = build(
        **REGRESSION, model={"name": "linear"}, optimizer={"name": "sgd", "lr": 0.01}
    )
    end = ended(play(experiment, at={20: [SetValue("optimizer.lr", 1.7e308)]}))
    assert end.status == "diverged"
    assert end.steps in (20, 21)
    assert all(value is None or math.isfinite(value) for value in end.final.values())


def test_that_runs_that_have_ended_cost_one_selection_a_step(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the check of every tensor that a diverging step needs."""
    trainer = Trainer([build(seed=seed) for seed in range(3)])
    trainer.advance()
    trainer.end(1, "finished", "enough")
    chosen = []
    where = Population.where

    def counted(self: Population, *states: Any) -> Any:
        chosen.append(states)
        return where(self, *states)

    monkeypatch.setattr(Population, "where", counted)
    monkeypatch.setattr(Population, "accepts", lambda *_: pytest.fail("no run diverges"))
    for _ in range(4):
        trainer.advance()
    assert len(chosen) == 4
