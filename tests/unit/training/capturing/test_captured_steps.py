"""Captured steps give the same bits as ordinary ones, or are not captured at all."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.optimizers.momentum import Momentum
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.training.batches import BatchStream
from optlab.training.capturing import captured_steps
from optlab.training.capturing.program import Program
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
STEPS = 90
LSTM = {
    "dataset": {"name": "copy_task", "size": 60, "delay": 2},
    "model": {"name": "lstm", "units": 5},
    "batches": {"name": "shuffled", "size": 20},
}
RELU = {"name": "mlp", "hidden": [5, 5], "activation": "relu"}
SCRIPT = """
import sys
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer
tables = {"dataset": {"name": "moons", "size": 600}, "model": {"name": "linear"}}
trainer = Trainer([Experiment.from_dict({**tables, "batches": {"name": "shuffled", "size": 5}})])
trainer.capture_steps()
for _ in range(200):
    trainer.advance()
print(trainer.steps.repeated > 50, "torch._dynamo" in sys.modules)
"""
NORMALIZED = {"name": "mlp", "hidden": [6, 6], "batch_norm": True, "skip": True, "auxiliary": 0.3}


def both(experiments: list[Experiment], steps: int = STEPS) -> tuple[Trainer, Trainer]:
    """Train with ordinary and with captured steps, and compare all bits."""
    usual, captured = Trainer(experiments), Trainer(experiments)
    captured.capture_steps()
    for _ in range(steps):
        usual.advance()
        captured.advance()
    compare(usual, captured)
    return usual, captured


def compare(usual: Trainer, captured: Trainer) -> None:
    assert torch.equal(usual.theta, captured.theta)
    for group, other in zip(usual.population.groups, captured.population.groups, strict=True):
        assert all(torch.equal(value, other.state[name]) for name, value in group.state.items())
    series, others = usual.recorder.flush(), captured.recorder.flush()
    assert series.keys() == others.keys()
    # What is measured of runs that have ended is not reported.
    alive = usual.alive
    for name, values in series.items():
        np.testing.assert_array_equal(
            values.values[:, alive], others[name].values[:, alive], err_msg=name
        )


@pytest.mark.parametrize(
    "tables",
    [
        {"optimizer": {"name": "momentum"}},
        {"optimizer": {"name": "momentum"}, "loss": {"name": "squared_error"}},
        {"optimizer": {"name": "adam"}, "averaging": {"name": "polyak"}},
        {"optimizer": {"name": "sgd"}, "averaging": {"name": "exponential"}},
        {"optimizer": {"name": "adam"}, "schedule": {"name": "cosine"}},
        {"optimizer": {"name": "rmsprop"}, "clipping": {"name": "norm", "threshold": 0.1}},
        {"optimizer": {"name": "nesterov"}, "loss": {"name": "cross_entropy", "l2": 1e-2}},
        {"optimizer": {"name": "adamw"}, "model": NORMALIZED},
        {"optimizer": {"name": "schedule_free_sgd"}, "precision": "float64"},
        {"optimizer": {"name": "lookahead", "before": "adam"}},
        {"optimizer": {"name": "lamb"}, "schedule": {"name": "cosine"}},
        {"optimizer": {"name": "adafactor"}, "schedule": {"name": "cosine"}},
        {"optimizer": {"name": "adam"}, **LSTM},
    ],
    ids=lambda tables: f"{tables['optimizer']['name']}-{len(tables)}",
)
def test_that_captured_steps_have_the_bits_of_ordinary_ones(
    build: Build, tables: dict[str, Any]
) -> None:
    _, captured = both([build(**tables)])
    assert captured.steps.repeated > STEPS // 4


@pytest.mark.parametrize(
    "tables",
    [
        {"optimizer": {"name": "momentum"}},
        {"optimizer": {"name": "adam"}, "schedule": {"name": "cosine"}},
        {"optimizer": {"name": "nesterov"}, "loss": {"name": "cross_entropy", "l2": 1e-2}},
    ],
    ids=lambda tables: str(tables["optimizer"]["name"]),
)
def test_that_steps_at_which_nothing_looks_have_the_same_bits(
    build: Build, tables: dict[str, Any]
) -> None:
    usual, captured = both([build(seed=seed, **tables) for seed in (1, 2)])
    for count in (7, 1, 30, 2):
        reached = captured.step + count
        while captured.step < reached:
            captured.advance_unobserved(reached - captured.step - 1, lambda: True)
            captured.advance()
    while usual.step < captured.step:
        usual.advance()
    compare(usual, captured)
    assert captured.steps.repeated >= 30


@pytest.mark.parametrize("begin", [0, 55, STEPS + 50])
def test_that_a_mean_that_begins_later_is_that_of_ordinary_steps(build: Build, begin: int) -> None:
    """Until it begins, the number of the step makes no difference."""
    members = [
        build(seed=seed, averaging={"name": "polyak", "begin": its})
        for seed, its in ((1, begin), (2, begin))
    ]
    _, captured = both(members)
    assert captured.steps.repeated > STEPS // 4
    average, theta = captured.population.averaged(), captured.theta
    assert average is not None
    assert torch.equal(average, theta) == (begin > STEPS)
    _, apart = both([members[0], build(seed=2, averaging={"name": "polyak", "begin": 40})])
    assert apart.steps.repeated > STEPS // 4


def test_that_the_weights_of_the_best_evaluation_are_those_of_ordinary_steps(build: Build) -> None:
    members = [build(seed=seed, stopping={"name": "early"}) for seed in (1, 2)]
    usual, captured = Trainer(members), Trainer(members)
    captured.capture_steps()
    best = []
    for number in range(1, STEPS + 1):
        for trainer in (usual, captured):
            if number % 8:
                trainer.advance()
            else:
                trainer.advance_unobserved(0, lambda: True)
                trainer.advance()
                if number < 60:
                    trainer.keep_best(number // 8 % 2)
        best.append([captured.population.groups[0].best(run).clone() for run in (0, 1)])
    compare(usual, captured)
    assert captured.steps.repeated > STEPS // 4
    for run in (0, 1):
        trainer.restore_best(run)
        usual.restore_best(run)
    compare(usual, captured)
    assert torch.equal(captured.theta, torch.stack(best[-1]))
    assert not torch.equal(best[20][0], best[-1][0])


def test_that_no_more_of_them_are_taken_than_may_be(build: Build) -> None:
    _, captured = both(
        [build(optimizer={"name": "momentum"}, batches={"name": "shuffled", "size": 0})]
    )
    before = captured.step
    answers = iter([True, True, False])
    captured.advance_unobserved(100, lambda: next(answers))
    assert captured.step == before + 3
    captured.advance_unobserved(2, lambda: True)
    assert captured.step == before + 5


@pytest.mark.parametrize(
    "tables", [{"clipping": {"name": "norm"}}, {"instruments": {"distance": {}}}]
)
def test_that_every_step_is_looked_at_where_that_is_needed(
    build: Build, tables: dict[str, Any]
) -> None:
    _, captured = both([build(optimizer={"name": "momentum"}, **tables)])
    before = captured.step
    captured.advance_unobserved(5, lambda: True)
    assert captured.step == before


@pytest.mark.parametrize("bad", ["theta", "v"])
@pytest.mark.parametrize("unobserved", [0, 9])
@pytest.mark.parametrize("further", [17, 20])
def test_that_runs_that_have_ended_stay_when_another_diverges(
    build: Build, bad: str, unobserved: int, further: int
) -> None:
    """Their rows are computed on; too large a velocity leaves a finite loss. One of the steps
    follows another that was repeated, one does not.
    """
    members = [
        build(optimizer={"name": "momentum", "lr": lr}, model=RELU) for lr in (0.01, 0.02, 0.03)
    ]
    usual, captured = both(members)
    for trainer in (usual, captured):
        trainer.theta = trainer.theta.index_fill(0, torch.tensor([1]), 1e300)
        while trainer.step < STEPS + further:
            if trainer.endings:
                trainer.advance_unobserved(
                    min(unobserved, STEPS + further - 1 - trainer.step), lambda: True
                )
            trainer.advance()
        assert set(trainer.endings) == {1}
    compare(usual, captured)
    ended = captured.theta[1].clone()
    for trainer in (usual, captured):
        if bad == "theta":
            trainer.theta = trainer.theta.index_fill(0, torch.tensor([0]), 1e300)
        else:
            (group,) = trainer.population.groups
            group.state = {"v": group.state["v"].index_fill(0, torch.tensor([0]), 1.7e308)}
        for _ in range(4):
            trainer.advance_unobserved(unobserved and 1, lambda: True)
            trainer.advance()
    assert usual.endings == captured.endings and set(usual.endings) == {0, 1}
    assert torch.equal(captured.theta[1], ended)
    while usual.step < captured.step:
        usual.advance()
    while captured.step < usual.step:
        captured.advance()
    assert torch.equal(usual.theta, captured.theta)


def test_that_a_run_that_diverges_after_them_keeps_its_last_finite_state(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = BatchStream.at
    bad = 73

    def with_a_bad_batch(self: BatchStream, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = at(self, step)
        return (torch.full_like(x, math.inf) if step == bad else x), y

    monkeypatch.setattr(BatchStream, "at", with_a_bad_batch)
    members = [build(seed=seed, optimizer={"name": "momentum"}) for seed in (1, 2)]
    usual, captured = Trainer(members), Trainer(members)
    captured.capture_steps()
    for trainer in (usual, captured):
        for _ in range(40):
            trainer.advance()
        trainer.end(1, "stopped", "for a test")
    while len(captured.endings) < 2:
        captured.advance_unobserved(3, lambda: True)
        captured.advance()
    while usual.step < captured.step:
        usual.advance()
    assert usual.endings == captured.endings and usual.endings[0].step == bad - 1
    assert captured.steps.repeated > 30
    assert torch.equal(usual.theta, captured.theta)


def test_that_rates_that_part_after_the_recording_are_those_of_the_runs(build: Build) -> None:
    """A rate that was one number for all runs is another in each from then on."""
    members = [
        build(
            seed=seed,
            schedule={"name": "plateau", "patience": 1, "factor": factor, "improvement": 0.9},
            budget={"steps": 400},
        )
        for seed, factor in ((1, 0.5), (2, 0.25))
    ]
    usual, captured = Trainer(members), Trainer(members)
    captured.capture_steps()
    rates = []
    for number in range(1, 121):
        for trainer in (usual, captured):
            trainer.advance()
            if number % 10 == 0:
                values = trainer.evaluate()
                trainer.observe({name: value.tolist() for name, value in values.items()})
        rates.append(captured.population.rates())
    compare(usual, captured)
    assert rates[20][0] == rates[20][1] or captured.steps.repeated
    assert rates[-1][0] != rates[-1][1]


def test_that_the_runs_of_a_population_keep_their_own_rates_and_rules(build: Build) -> None:
    members = [
        build(seed=seed, optimizer={"name": name, "lr": 0.01 * (seed + 1)})
        for seed, name in enumerate(["sgd", "adam", "adam"])
    ]
    _, captured = both(members)
    assert captured.steps.repeated > STEPS // 4


@pytest.mark.parametrize("rule", ["adan", "soap", "lbfgs"])
def test_that_a_rule_that_decides_by_the_step_is_computed_as_usual(build: Build, rule: str) -> None:
    _, captured = both([build(optimizer={"name": rule})], 40)
    assert captured.steps.repeated == 0


def test_that_runs_diverge_in_the_same_step_and_keep_the_same_state(build: Build) -> None:
    members = [build(optimizer={"name": "momentum", "lr": lr}, model=RELU) for lr in (0.01, 0.02)]
    usual, captured = both(members)
    for trainer in (usual, captured):
        trainer.set_value("optimizer.lr", 1e300, 1)
        for _ in range(60):
            trainer.advance()
    compare(usual, captured)
    assert usual.endings == captured.endings
    assert usual.endings[1].status == "diverged"


@pytest.mark.parametrize("rules", [("momentum",) * 3, ("adam", "momentum", "adam")], ids="-".join)
def test_that_steps_are_repeated_after_a_run_has_diverged(
    build: Build, rules: tuple[str, ...]
) -> None:
    """Its rows are put back in memory of the recording, one group of runs or two."""
    members = [
        build(optimizer={"name": rule, "lr": lr}, model=RELU)
        for rule, lr in zip(rules, (0.01, 0.02, 0.03), strict=True)
    ]
    usual, captured = both(members)
    for number, run in enumerate([1, 0]):
        for trainer in (usual, captured):
            # Later than the change of a rate, for which the recordings are dropped.
            trainer.theta = trainer.theta.index_fill(0, torch.tensor([run]), 1e300)
            trainer.advance()
        assert len(captured.endings) == number + 1
        before, ended = captured.steps.repeated, captured.theta[[1, 0][: number + 1]].clone()
        for trainer in (usual, captured):
            for _ in range(40):
                trainer.advance()
        assert captured.steps.repeated >= before + 30
        assert torch.equal(captured.theta[[1, 0][: number + 1]], ended)
        compare(usual, captured)
    assert usual.endings == captured.endings
    assert [usual.endings[run].status for run in (0, 1)] == ["diverged", "diverged"]


@pytest.mark.parametrize("bad", ["theta", "v"])
def test_that_the_last_finite_state_is_kept_when_a_repeated_step_is_not(
    build: Build, bad: str
) -> None:
    """Too large parameters make the loss of the next step infinite, a velocity the step itself."""
    usual, captured = both([build(optimizer={"name": "momentum"}, model=RELU)])
    for trainer in (usual, captured):
        for _ in range(3):
            trainer.advance()
        if bad == "theta":
            trainer.theta = torch.full_like(trainer.theta, 1e300)
        else:
            (group,) = trainer.population.groups
            group.state = {"v": torch.full_like(group.state["v"], 1.7e308)}
        for _ in range(3):
            if not trainer.endings:
                trainer.advance()
    assert usual.endings == captured.endings
    assert usual.endings[0].status == "diverged"
    assert torch.equal(usual.theta, captured.theta)


def test_that_a_change_during_the_run_takes_effect(build: Build) -> None:
    usual, captured = both([build(optimizer={"name": "momentum"})])
    for trainer in (usual, captured):
        trainer.set_value("optimizer.momentum", 0.3)
        trainer.follow(["layers.0.weight[0,0]"])
        for _ in range(STEPS):
            trainer.advance()
    compare(usual, captured)


def test_that_instruments_read_the_same_in_captured_steps_and_after_them(build: Build) -> None:
    """Some of them keep tensors from one reading to the next."""
    every = {"every": 7}
    on = build(
        instruments=dict.fromkeys(
            ("distance", "update_ratio", "conditioning", "excess_error", "gradient_noise"), every
        )
    )
    usual, captured = both([on])
    assert captured.steps.repeated > STEPS // 4
    for trainer in (usual, captured):
        trainer.instrument_runner.read_all(trainer.step)
    compare(usual, captured)
    at_rest, other = usual.context_at_rest(), captured.context_at_rest()
    assert torch.equal(at_rest.before, other.before)
    assert not torch.equal(at_rest.before, at_rest.after)


@pytest.mark.parametrize(
    "name",
    [one.name for one in registry.components("instrument") if not one.keeps_tensors],  # type: ignore[attr-defined]
)
def test_that_a_reading_that_keeps_nothing_does_not_change_with_later_steps(
    build: Build, name: str
) -> None:
    """Its context is the memory of the recording, which the next steps overwrite."""
    usual, captured = both([build(instruments={name: {"every": 7}})])
    assert captured.steps.repeated > STEPS // 4 and STEPS % 7
    for one, other in zip(
        usual.instrument_runner.drawn(), captured.instrument_runner.drawn(), strict=True
    ):
        assert one.arrays.keys() == other.arrays.keys()
        for key, values in one.arrays.items():
            np.testing.assert_array_equal(values, other.arrays[key])


def test_that_released_parameters_are_not_overwritten(build: Build) -> None:
    _, captured = both([build(optimizer={"name": "momentum"})])
    at_rest = captured.context_at_rest()
    before = at_rest.theta.clone()
    for _ in range(5):
        captured.advance()
    assert torch.equal(at_rest.theta, before)
    assert not torch.equal(captured.theta, before)


def test_that_a_recording_that_gives_other_numbers_is_not_used(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Program.run

    def wrong(self: Program, *given: Any) -> Any:
        results = run(self, *given)
        assert results is not None
        results[1].add_(1e-3)
        return results

    monkeypatch.setattr(Program, "run", wrong)
    _, captured = both([build(optimizer={"name": "momentum"})], captured_steps.FIRST + 30)
    assert captured.steps.repeated == 0


def test_that_capturing_does_not_import_the_compiler() -> None:
    """Which takes longer than a short run, and is not part of the packaged program."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.strip(), done.returncode) == ("True False", 0), done.stderr


def test_that_views_of_tensors_of_outside_are_what_they_are(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors = torch.tensor([0.5])
    right = Momentum.update

    def scaled(theta: torch.Tensor, g: torch.Tensor, *rest: Any) -> Any:
        return right(theta, g * factors.unsqueeze(1).expand(1, 1), *rest)

    monkeypatch.setattr(Momentum, "update", staticmethod(scaled))
    _, captured = both([build(optimizer={"name": "momentum"})])
    assert captured.steps.repeated > 40


def test_that_a_rule_that_writes_to_a_tensor_of_outside_is_computed_as_usual(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Momentum.update

    def counting(theta: torch.Tensor, g: torch.Tensor, *rest: Any) -> Any:
        counts[0].add_(1.0)
        return right(theta, g / counts[0], *rest)

    monkeypatch.setattr(Momentum, "update", staticmethod(counting))
    counts: list[torch.Tensor] = []
    trainers = [Trainer([build(optimizer={"name": "momentum"})]) for _ in range(2)]
    trainers[1].capture_steps()
    for trainer in trainers:
        counts[:] = [torch.zeros(1)]
        for _ in range(STEPS):
            trainer.advance()
    assert trainers[1].steps.repeated == 0
    assert "not its own" in trainers[1].steps.reason
