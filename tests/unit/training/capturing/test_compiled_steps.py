"""Compiled steps are the ordinary ones up to rounding, each of them, and the same wherever a run begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.experiment import Experiment
from optlab.training.capturing.native import translation
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
STEPS = 25
DIGITS = {"name": "digits"}
MODELS: dict[str, dict[str, Any]] = {
    "linear": {"dataset": DIGITS, "model": {"name": "linear"}},
    "mlp": {"dataset": DIGITS, "model": {"name": "mlp", "hidden": [7, 16]}},
    "squares": {"dataset": DIGITS, "loss": {"name": "squared_error"}},
    "sigmoid": {"model": {"name": "mlp", "hidden": [5], "activation": "sigmoid"}},
    "skip": {"model": {"name": "mlp", "hidden": [6, 6], "skip": True, "auxiliary": 0.3}},
    "deep_linear": {"dataset": DIGITS, "model": {"name": "deep_linear"}},
    "autoencoder": {"dataset": DIGITS, "model": {"name": "autoencoder"}},
    "cnn": {"dataset": DIGITS, "model": {"name": "cnn"}},
    "rnn": {"dataset": DIGITS, "model": {"name": "rnn"}},
    "lstm": {
        "dataset": {"name": "copy_task", "size": 60, "delay": 2},
        "model": {"name": "lstm", "units": 5},
    },
    "transformer": {"dataset": DIGITS, "model": {"name": "transformer"}},
}
RULES: dict[str, dict[str, Any]] = {
    **{
        name: {"optimizer": {"name": name}}
        for name in (
            *("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "rmsprop_nesterov", "adadelta"),
            *("adam", "adamw", "lion", "ademamix", "prodigy"),
            *("schedule_free_sgd", "schedule_free_adamw"),
        )
    },
    "schedule": {"optimizer": {"name": "adam"}, "schedule": {"name": "cosine"}},
    "clipping": {"clipping": {"name": "norm", "threshold": 0.1}},
    "mean": {"averaging": {"name": "polyak", "begin": 12}},
    "average": {"averaging": {"name": "exponential"}},
    "best": {"stopping": {"name": "early"}},
    "penalty": {"loss": {"name": "cross_entropy", "l2": 1e-2}},
}


def compiled(experiments: list[Experiment]) -> Trainer:
    trainer = Trainer(experiments)
    trainer.capture_steps()
    return trainer


def advance(trainer: Trainer, steps: int) -> None:
    """Take steps one by one, and some of them in a row."""
    end = trainer.step + steps
    while trainer.step < end:
        trainer.advance_unobserved(min(3, end - trainer.step - 1), lambda: True)
        trainer.advance()


def check(build: Build, tables: dict[str, Any], runs: int, *, relative: float = 1e-9) -> None:
    """Compare compiled steps of some runs in double precision with ordinary ones."""
    made = [
        build(seed=seed, compiled=True, precision="float64", **tables)
        for seed in range(1, 1 + runs)
    ]
    usual, other = Trainer(made), compiled(made)
    for _ in range(STEPS):
        usual.advance()
    advance(other, STEPS)
    assert (other.steps.mode, other.steps.reason) == ("compiled", "")
    assert other.steps.repeated == STEPS, "each step is a compiled one, the first too"
    torch.testing.assert_close(other.theta, usual.theta, rtol=relative, atol=relative)
    for group, its in zip(usual.population.groups, other.population.groups, strict=True):
        for name, value in group.state.items():
            torch.testing.assert_close(
                its.state[name], value, rtol=relative, atol=relative, msg=name
            )
    series, others = usual.recorder.flush(), other.recorder.flush()
    assert series.keys() == others.keys()
    for name, one in series.items():
        torch.testing.assert_close(
            torch.as_tensor(others[name].values),
            torch.as_tensor(one.values),
            rtol=1e-6,
            atol=relative,
            msg=name,
        )


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("model", MODELS)
def test_that_compiled_steps_of_each_model_are_the_ordinary_ones(
    build: Build, model: str, runs: int
) -> None:
    tables = {"batches": {"name": "shuffled", "size": 20}, **MODELS[model]}
    check(build, {"optimizer": {"name": "momentum"}, **tables}, runs)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("rule", RULES)
def test_that_compiled_steps_of_each_rule_are_the_ordinary_ones(
    build: Build, rule: str, runs: int
) -> None:
    # What a rule divides by its rounding errors differs by more.
    whole = {"optimizer": {"name": "momentum"}, "batches": {"name": "shuffled", "size": 0}}
    check(build, {**whole, **RULES[rule]}, runs, relative=1e-7)


def test_that_runs_with_their_own_numbers_and_rules_keep_them(build: Build) -> None:
    made = [
        build(compiled=True, optimizer={"name": "momentum", "lr": lr}, seed=seed)
        for lr, seed in ((0.01, 1), (0.2, 2))
    ]
    made += [build(compiled=True, optimizer={"name": "adam"}, seed=seed) for seed in (3, 4)]
    usual, other = Trainer(made), compiled(made)
    for _ in range(STEPS):
        usual.advance()
    advance(other, STEPS)
    assert other.steps.mode == "compiled"
    torch.testing.assert_close(other.theta, usual.theta, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(other.theta[0], other.theta[1], atol=1e-3)


def test_that_the_same_run_has_the_same_bits_wherever_it_begins(build: Build) -> None:
    made = [build(compiled=True, optimizer={"name": "adam"}, schedule={"name": "cosine"})]
    whole, again = compiled(made), compiled(made)
    advance(whole, 31)
    kept = whole.snapshot(0, 0.0, "")
    advance(whole, 20)
    for _ in range(51):
        again.advance()
    assert torch.equal(again.theta, whole.theta), "however the steps are taken"
    resumed = Trainer(made, snapshots=[kept])
    resumed.capture_steps()
    advance(resumed, 20)
    assert torch.equal(resumed.theta, whole.theta), "resumed, or forked"
    assert resumed.steps.repeated == 20


def test_that_steps_of_a_run_that_has_learned_its_examples_are_compiled(build: Build) -> None:
    made = [
        build(
            compiled=True,
            dataset={"name": "moons", "size": 70, "noise": 0.0},
            model={"name": "mlp", "hidden": [16]},
            optimizer={"name": "adam", "lr": 0.05},
            batches={"name": "shuffled", "size": 20},
        )
    ]
    whole = compiled(made)
    advance(whole, 1500)
    kept = whole.snapshot(0, 0.0, "")
    theta = whole.theta.clone()
    forked = Trainer(made, snapshots=[kept])
    forked.capture_steps()
    assert torch.equal(forked.theta, theta)
    for trainer in (whole, forked):
        advance(trainer, 40)  # over the last batch of an epoch, which is smaller
    assert float(whole.evaluate()["train_loss"][0]) < 1e-4
    assert (forked.steps.mode, forked.steps.reason) == ("compiled", "")
    assert forked.steps.repeated == 40
    assert torch.equal(forked.theta, whole.theta)


def test_that_a_change_during_the_run_takes_effect(build: Build) -> None:
    made = [build(compiled=True, optimizer={"name": "momentum"}, seed=seed) for seed in (1, 2)]
    usual, other = Trainer(made), compiled(made)
    for trainer in (usual, other):
        advance(trainer, 10)
        trainer.set_value("optimizer.lr", 0.003)
        advance(trainer, 10)
        trainer.set_value("optimizer.momentum", 0.5, run=1)
        advance(trainer, 10)
    torch.testing.assert_close(other.theta, usual.theta, rtol=1e-4, atol=1e-5)
    assert other.steps.mode == "compiled"


def test_that_a_run_that_diverges_leaves_the_others_alone(build: Build) -> None:
    made = [
        build(
            compiled=True,
            optimizer={"name": "momentum", "lr": lr},
            dataset={"name": "diabetes"},
            loss={"name": "squared_error"},
            model={"name": "linear"},
            # The last batch of an epoch has another shape, and comes when a run has ended.
            batches={"name": "shuffled", "size": 60},
        )
        for lr in (0.01, 1e4, 0.02)
    ]
    usual, other = Trainer(made), compiled(made)
    for trainer in (usual, other):
        while trainer.step < 60:
            advance(trainer, 5)
    assert usual.alive == other.alive == [0, 2]
    assert (other.steps.mode, other.steps.reason) == ("compiled", "")
    ended = usual.endings[1]
    assert other.endings[1].last_reported_step == ended.last_reported_step
    assert other.endings[1].status == ended.status == "diverged"
    for run in other.alive:
        torch.testing.assert_close(other.theta[run], usual.theta[run], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("where", "name", "wrong"),
    [
        ("_BINARY", "mul", "{0} + {1}"),
        ("_BINARY", "div", "{1} / {0}"),
        ("_UNARY", "sqrt", "{0}"),
        ("_UNARY", "relu", "{0} > 0 ? 0 : {0}"),
        ("_TRANSCENDENTAL", "exp", "std::exp({0}) * (1 + 2e-3f)"),
    ],
)
def test_that_a_wrong_translation_is_noticed_and_not_used(
    build: Build, monkeypatch: pytest.MonkeyPatch, where: str, name: str, wrong: str
) -> None:
    monkeypatch.setitem(getattr(translation, where), name, wrong)
    made = [
        build(
            compiled=True,
            optimizer={"name": "adam"},
            model={"name": "mlp", "hidden": [5], "activation": "relu"},
        )
    ]
    usual, other = Trainer(made), compiled(made)
    for _ in range(8):
        usual.advance()
    advance(other, 8)
    assert other.steps.mode == "ordinary"
    assert other.steps.reason == "a repeated step has other values than an ordinary one"
    assert torch.equal(other.theta, usual.theta)


def test_that_a_compiler_that_fails_leaves_ordinary_steps_and_says_why(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(translation._UNARY, "sqrt", "no such function({0})")
    made = [build(compiled=True, optimizer={"name": "adam"})]
    usual, other = Trainer(made), compiled(made)
    for trainer in (usual, other):
        advance(trainer, 5)
    assert other.steps.mode == "ordinary" and "does not compile a loop" in other.steps.reason
    assert torch.equal(other.theta, usual.theta)
