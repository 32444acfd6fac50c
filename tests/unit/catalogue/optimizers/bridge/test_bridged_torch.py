"""Every bridged optimizer of torch, in the trainer: against plain torch, in a population, stopped
and resumed, and frozen.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any, cast

import pytest
import torch

from optlab.catalogue.optimizers._bridge import rules
from optlab.catalogue.optimizers._bridge.rules import TorchRule
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.training.snapshot import Snapshot
from optlab.training.trainer import Trainer

RULES = [
    cast("type[TorchRule]", rule)
    for rule in registry.components("optimizer")
    if issubclass(rule, TorchRule)
]
SETTINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("ASGD", {"lr": 0.05, "lambd": 0.01, "alpha": 0.6, "t0": 20.0, "weight_decay": 0.01}, {}),
    ("Adadelta", {"lr": 0.7, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.01}, {}),
    (
        "Adafactor",
        {"lr": 0.05, "d": 1.5, "eps2": 0.01, "weight_decay": 0.02},
        {"lr": 0.05, "d": 1.5, "eps": (None, 0.01), "weight_decay": 0.02},
    ),
    ("Adafactor", {"beta2_decay": -0.5, "eps1": 0.01}, {"beta2_decay": -0.5, "eps": (0.01, 1e-3)}),
    (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.01, "initial_accumulator_value": 0.2, "weight_decay": 0.01},
        {},
    ),
    (
        "Adam",
        {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, "amsgrad": True},
        {"lr": 0.02, "betas": (0.8, 0.95), "amsgrad": True},
    ),
    ("AdamW", {"lr": 0.02, "weight_decay": 0.3}, {}),
    ("Adamax", {"lr": 0.02, "beta2": 0.9}, {"lr": 0.02, "betas": (0.9, 0.9)}),
    (
        "NAdam",
        {"lr": 0.02, "momentum_decay": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1},
        {},
    ),
    ("RAdam", {"lr": 0.02, "weight_decay": 0.1}, {}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.5, "centered": True}, {}),
    (
        "Rprop",
        {"eta1": 0.4, "eta2": 1.1, "step_size1": 1e-4, "step_size2": 0.1},
        {"etas": (0.4, 1.1), "step_sizes": (1e-4, 0.1)},
    ),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}, {}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, {}),
    ("SGD", {"lr": 0.05}, {}),
]
"""Class, fields, and the constructor's arguments where they are not the fields; numbers far from
the defaults, so that one that gets lost is seen.
"""
each = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def experiment(name: str, seed: int = 1, **fields: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "seed": seed,
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "moons", "size": 120},
            "model": {"name": "mlp", "hidden": [5], "activation": "tanh"},
            "optimizer": {"name": name, **fields},
            "batches": {"name": "never_shuffled", "size": 16},
        }
    )


def network() -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)
    ).double()


def trained_by_torch(
    model: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    asked: Experiment,
    steps: int = 200,
) -> torch.Tensor:
    """The module's parameters after training on the experiment's batches."""
    data = asked.dataset.load().training
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    for step in range(steps):
        rows = slice(step % 5 * 16, (step % 5 + 1) * 16)
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        for optimizer in optimizers:
            optimizer.step()
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


def advanced(trainer: Trainer, steps: int) -> Trainer:
    for _ in range(steps):
        trainer.advance()
    return trainer


def test_that_every_optimizer_of_torch_is_a_choice_or_refused_in_words() -> None:
    choices = {rule.signature.cls for rule in RULES}
    every = {
        name
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    }
    assert every - choices == {"Optimizer", "SparseAdam", "LBFGS"}
    assert {cls for cls, *_ in SETTINGS} == choices - {"Muon"}, (
        "every one is checked against plain torch below"
    )
    with pytest.raises(
        InvalidInput,
        match=r"optimizer\.name is 'torch\.sparseadam', which cannot be used: .* sparse gradients "
        r"only",
    ):
        experiment("torch.sparseadam")
    with pytest.raises(InvalidInput, match="use lbfgs"):
        experiment("torch.lbfgs")
    assert "lbfgs" in registry.names("optimizer")


@pytest.mark.parametrize(
    ("cls", "fields", "arguments"),
    SETTINGS,
    ids=[f"{cls}-{number}" for number, (cls, *_) in enumerate(SETTINGS)],
)
def test_that_200_steps_are_those_of_plain_torch(
    cls: str, fields: dict[str, Any], arguments: dict[str, Any]
) -> None:
    asked = experiment(f"torch.{cls.lower()}", **fields)
    trainer, model = Trainer([asked]), network()
    start = trainer.theta.clone()
    torch.nn.utils.vector_to_parameters(start[0].clone(), model.parameters())
    theirs = trained_by_torch(
        model, [getattr(torch.optim, cls)(model.parameters(), **(arguments or fields))], asked
    )
    advanced(trainer, 200)
    assert not torch.allclose(trainer.theta, start)
    torch.testing.assert_close(trainer.theta[0], theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("output_by_muon", [False, True])
def test_that_muon_trains_the_hidden_weights_and_adamw_the_rest(output_by_muon: bool) -> None:
    asked = experiment(
        "torch.muon",
        lr=0.02,
        weight_decay=0.05,
        rest_rate=0.25,
        output_by_muon=output_by_muon,
        adjust_lr_fn="match_rms_adamw",
        ns_steps=4,
    )
    trainer, model = Trainer([asked]), network()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    matrices = [model[0].weight, *([model[2].weight] if output_by_muon else [])]
    rest = [
        parameter
        for parameter in model.parameters()
        if all(parameter is not matrix for matrix in matrices)
    ]
    muon = torch.optim.Muon(
        matrices, lr=0.02, weight_decay=0.05, ns_steps=4, adjust_lr_fn="match_rms_adamw"
    )
    adamw = torch.optim.AdamW(rest, lr=0.005, weight_decay=0.05)
    theirs = trained_by_torch(model, [muon, adamw], asked)
    torch.testing.assert_close(advanced(trainer, 200).theta[0], theirs, rtol=1e-10, atol=1e-10)


@each
def test_that_a_run_in_a_population_is_the_run_alone(rule: type[TorchRule]) -> None:
    rate = rule.field("lr").default
    asked = [
        experiment(rule.name, seed=seed, lr=rate * factor)
        for seed, factor in ((1, 1.0), (2, 0.5), (3, 2.0))
    ]
    together = advanced(Trainer(asked), 60)
    for row, alone in enumerate(asked):
        torch.testing.assert_close(
            together.theta[row], advanced(Trainer([alone]), 60).theta[0], rtol=1e-10, atol=1e-12
        )


@each
def test_that_a_run_stopped_and_resumed_is_the_run_in_one_go_bit_for_bit(
    rule: type[TorchRule],
) -> None:
    asked = [experiment(rule.name, seed=seed) for seed in (1, 2)]
    first = advanced(Trainer(asked), 30)
    snapshots = [first.snapshot(run, 0.0, "asked") for run in (0, 1)]
    advanced(first, 30)
    resumed = advanced(Trainer(asked, snapshots), 30)
    assert torch.equal(first.theta, resumed.theta)
    # And from the very start, where most optimizers remember nothing yet.
    at_start = [Trainer(asked).snapshot(run, 0.0, "start") for run in (0, 1)]
    assert torch.equal(advanced(Trainer(asked, at_start), 60).theta, first.theta)


@each
def test_that_an_earlier_state_can_be_stepped_from_again(rule: type[TorchRule]) -> None:
    """Nothing that was handed out is written to later, and nothing that is kept inside decides what
    a step gives.
    """
    h = Hyperparameters(**rule().values(), step=1, layout=experiment(rule.name).layout())
    draws = torch.randn(
        7, 2, h.layout.total, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    theta, state = draws[0], rule.begin(draws[0], h)
    path = []
    for g in draws[1:]:
        path.append(
            (theta, state, theta.clone(), {name: value.clone() for name, value in state.items()})
        )
        theta, state = rule.update(theta, g, state, h)
    for place in (2, 0):
        before, memory, kept, kept_memory = path[place]
        assert torch.equal(before, kept) and all(
            torch.equal(value, kept_memory[name]) for name, value in memory.items()
        )
        for g in draws[1 + place :]:
            before, memory = rule.update(before, g, memory, h)
        assert torch.equal(before, theta)


def test_that_a_trainers_optimizers_go_with_it() -> None:
    trainer = advanced(Trainer([experiment("torch.adam")]), 3)
    kept = [
        weakref.ref(population)
        for layout, population in rules._cache().values()
        if layout() is trainer.layout
    ]
    assert [population() for population in kept] != [None] and kept
    del trainer
    gc.collect()
    assert [population() for population in kept] == [None]


def test_that_two_trainers_on_one_thread_do_not_disturb_each_other() -> None:
    asked = experiment("torch.adam", lr=0.02)
    alone = advanced(Trainer([asked]), 20).theta
    one, other = Trainer([asked]), Trainer([asked.with_value("seed", 7)])
    for _ in range(20):
        one.advance()
        other.advance()
    assert torch.equal(one.theta, alone)


@pytest.mark.parametrize("deferred", [False, True])
def test_that_a_run_that_has_ended_is_frozen_with_its_state_while_the_others_go_on(
    deferred: bool,
) -> None:
    asked = [experiment("torch.adamw", seed=seed, lr=0.02) for seed in (1, 2)]
    trainer = advanced(Trainer(asked, deferred=deferred), 10)
    trainer.end(0, "stopped", "asked for")
    kept = trainer.snapshot(0, 0.0, "end")
    advanced(trainer, 10)
    later = trainer.snapshot(0, 0.0, "end")
    assert kept.theta_sha256 == later.theta_sha256
    assert all((kept.state[name] == later.state[name]).all() for name in kept.state)
    assert torch.equal(trainer.theta[1:], advanced(Trainer(asked), 20).theta[1:])


def test_that_a_change_of_a_field_on_the_way_is_torchs_own() -> None:
    """The velocity begins only when momentum is above zero: what is remembered comes into being in
    the middle of the run.
    """
    asked = experiment("torch.sgd", lr=0.05, momentum=0.0)
    trainer, model = Trainer([asked]), network()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    batch_objective = torch.optim.SGD(model.parameters(), lr=0.05)
    trained_by_torch(model, [batch_objective], asked, 50)
    batch_objective.param_groups[0].update(momentum=0.9, lr=0.02)
    theirs = trained_by_torch(model, [batch_objective], asked, 50)
    advanced(trainer, 50)
    trainer.set_value("optimizer.momentum", 0.9)
    trainer.set_value("optimizer.lr", 0.02)
    middle: Snapshot = advanced(trainer, 25).snapshot(0, 0.0, "asked")
    advanced(trainer, 25)
    torch.testing.assert_close(trainer.theta[0], theirs, rtol=1e-10, atol=1e-12)
    assert torch.equal(advanced(Trainer([asked], [middle]), 25).theta, trainer.theta)


def test_that_a_schedule_sets_the_rate_of_every_step() -> None:
    asked = Experiment.from_dict(
        {**experiment("torch.adam", lr=0.1).to_dict(), "schedule": {"name": "inverse"}}
    )
    trainer, model = Trainer([asked]), network()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    batch_objective = torch.optim.Adam(model.parameters(), lr=0.1)
    data = asked.dataset.load().training
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    for step in range(40):
        batch_objective.param_groups[0]["lr"] = asked.schedule.rate(0.1, step)
        rows = slice(step % 5 * 16, (step % 5 + 1) * 16)
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        batch_objective.step()
    theirs = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(advanced(trainer, 40).theta[0], theirs, rtol=1e-10, atol=1e-12)


def test_that_averages_and_delays_are_kept_with_the_state() -> None:
    tables = experiment("torch.adafactor").to_dict()
    asked = Experiment.from_dict(
        {**tables, "averaging": {"name": "polyak"}, "delay": {"name": "fixed"}}
    )
    first = advanced(Trainer([asked]), 20)
    snapshot = first.snapshot(0, 0.0, "asked")
    assert {"layers.0.weight/row_var", "averaging.average", "delay.1"} <= set(snapshot.state)
    advanced(first, 10)
    assert torch.equal(advanced(Trainer([asked], [snapshot]), 10).theta, first.theta)


def test_that_settings_that_torch_refuses_are_refused_in_its_words() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"SGD \(torch\) refuses these settings: Nesterov momentum requires a momentum and "
        r"zero dampening\.",
    ):
        Trainer([experiment("torch.sgd", nesterov=True)])


def test_that_a_zero_for_torchs_own_default_is_passed_as_none() -> None:
    adafactor = next(rule for rule in RULES if rule.signature.cls == "Adafactor")
    assert adafactor.arguments(adafactor().values())["eps"] == (None, 1e-3)
    assert adafactor.arguments({**adafactor().values(), "eps1": 0.5})["eps"] == (0.5, 1e-3)


def test_that_an_unknown_argument_is_refused_in_words() -> None:
    with pytest.raises(
        InvalidInput, match=r"optimizer\.betas is not a field of optimizer \(torch\.adam\)"
    ):
        experiment("torch.adam", betas=[0.9, 0.99])
    with pytest.raises(InvalidInput, match=r"optimizer\.foreach is not a field"):
        experiment("torch.adam", foreach=True)
