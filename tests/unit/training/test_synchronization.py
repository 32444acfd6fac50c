"""A step on a GPU reads nothing from it: the host would wait there for all that it still computes.

The device is simulated (``tests/simulated_device.py``); its trainer leaves the check for finite
values on the device, as that of a GPU does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers.adam import Adam
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.training import trainer as module
from optlab.training.trainer import Trainer
from tests.simulated_device import DEVICE, DeviceTensor, Transfer, simulated_device

Build = Callable[..., Experiment]
STEPS = 12
MOONS = {"dataset": {"name": "moons", "size": 900}}
"""More steps in an epoch than a test takes: an epoch begins with an order from the host."""
OPTIMIZERS = [one.name for one in registry.components("optimizer")]
READING = {
    *("sgd_line_search", "newton", "trust_region_newton", "gauss_newton", "natural_gradient"),
    *("levenberg_marquardt", "hessian_free", "k_fac", "sophia", "conjugate_gradient", "bfgs"),
    *("lbfgs", "cma_es"),
} | {name for name in OPTIMIZERS if name.startswith("torch.")}
"""Rules that decide on the host: by values of the objective or counts of products; and those of
torch, whose state has to be looked at.
"""
DRAWING = {"evolution_strategy", "sophia_g"}
"""Rules whose random numbers come from generators of the host, so that they are the same on all
devices.
"""


@pytest.fixture(name="on_device", autouse=True)
def _on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resolve", lambda *_: DEVICE)


def taken(members: Sequence[Experiment], steps: int = STEPS) -> tuple[list[Transfer], Trainer]:
    """The transfers of some steps after the first two, and their trainer."""
    with simulated_device() as transfers:
        trainer = Trainer(members)
        for _ in range(2):
            trainer.advance()
        transfers.clear()
        for _ in range(steps):
            trainer.advance()
        found = list(transfers)
    return found, trainer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_that_only_rules_that_decide_on_the_host_read_from_the_device(
    build: Build, name: str
) -> None:
    found, _ = taken([build(**MOONS, optimizer={"name": name})])
    assert any(one.kind == "read" for one in found) == (name in READING), found
    if name not in READING | DRAWING:
        assert not found


@pytest.mark.parametrize(
    "tables",
    [
        {"schedule": {"name": "cosine"}},
        {"clipping": {"name": "norm"}, "averaging": {"name": "exponential"}},
        {"clipping": {"name": "value"}, "averaging": {"name": "polyak"}},
        {"delay": {"name": "random"}},
        {"model": {"name": "mlp", "hidden": [5, 5], "batch_norm": True, "auxiliary": 0.3}},
        {"loss": {"name": "weighted_cross_entropy", "l2": 1e-2}},
        {"stopping": {"name": "early"}},
        {"schedules": {"optimizer.momentum": "from 0.5; linear to 0.9 in 60"}},
        {"schedules": {"loss.l2": "from 0.1; exponential to 0.001 in 50"}},
        {"optimizer": {"name": "ademamix", "warmup": 9}},
    ],
    ids=str,
)
def test_that_steps_wait_for_nothing_whatever_belongs_to_them(
    build: Build, tables: dict[str, Any]
) -> None:
    """Runs with rates of their own, so that hyperparameters are columns."""
    own = dict(tables)
    optimizer = {"name": "momentum", **own.pop("optimizer", {})}
    members = [
        build(**MOONS, seed=seed, optimizer={**optimizer, "lr": 0.01 * seed}, **own)
        for seed in (1, 2)
    ]
    assert taken(members)[0] == []


def test_that_groups_of_runs_wait_for_nothing(build: Build) -> None:
    rules = ("sgd", "adam", "lamb", "adam")
    assert taken([build(**MOONS, optimizer={"name": rule}) for rule in rules])[0] == []


@pytest.mark.parametrize("name", ["momentum", "adam", "lamb", "adafactor", "proximal_sgd"])
def test_that_the_device_computes_what_the_host_does(
    build: Build, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = build(optimizer={"name": name}, schedule={"name": "cosine"})
    _, trainer = taken([member], 20)
    monkeypatch.undo()
    usual = Trainer([member])
    for _ in range(22):
        usual.advance()
    assert isinstance(trainer.theta, DeviceTensor)
    assert torch.equal(trainer.theta.values, usual.theta)


def test_that_the_end_of_a_run_is_read_where_it_is_asked_for(build: Build) -> None:
    with simulated_device() as transfers:
        trainer = Trainer([build(**MOONS, optimizer={"name": "sgd", "lr": 1.7e308})])
        trainer.advance()
        transfers.clear()
        for _ in range(3):
            trainer.advance()
        assert not trainer.endings and not transfers
        trainer.sync_divergence()
    assert trainer.endings[0].status == "diverged"


@pytest.mark.parametrize(
    "read", [lambda g: g.max().item(), lambda g: bool((g > 0).any()), lambda g: g[g > 0].tolist()]
)
def test_that_a_planted_read_is_found(
    build: Build, monkeypatch: pytest.MonkeyPatch, read: Callable[[torch.Tensor], Any]
) -> None:
    update = Adam.update

    def reading(theta: torch.Tensor, g: torch.Tensor, *rest: Any) -> Any:
        read(g)
        return update(theta, g, *rest)

    monkeypatch.setattr(Adam, "update", staticmethod(reading))
    found, _ = taken([build(**MOONS, optimizer={"name": "adam"})], 3)
    assert len(found) >= 3 and {one.kind for one in found} == {"read"}
