"""torch's learning-rate schedulers on all classes: as on torch's own optimizers, or one sentence."""

from __future__ import annotations

import copy
import inspect
import pickle  # noqa: TID251 -- users pickle optimizers; these bytes are our own
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

import optlab.optim

Schedule = Callable[[torch.optim.Optimizer], Any]
SCHEDULERS: dict[str, Schedule] = {
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.5, 2), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, 2),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 2, cycle_momentum=False),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: epoch / 3.0),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=4),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 4]),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda epoch: 0.9),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=8, cycle_momentum=False),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 5),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.9)], [2]
    ),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
}
MOMENTUM_CYCLES: dict[str, Schedule] = {
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 2),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=8),
}
ALL = [name for name in dir(optlab.optim) if name not in ("ClosureOptimizer", "RuleOptimizer")]
RATED = [name for name in ALL if "lr" in inspect.signature(getattr(optlab.optim, name)).parameters]
RATELESS = [name for name in ALL if name not in RATED]
REFUSED = "has no learning rate"


def _create(name: str) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = getattr(optlab.optim, name)(
        [torch.nn.Parameter(torch.ones(3))]
    )
    return optimizer


def _values(scheduler: Any, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return the values of the parameter group after each of 6 epochs."""
    seen = []
    optimizer.step = lambda *_: None  # type: ignore[method-assign, assignment]
    optimizer.step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    for _ in range(6):
        scheduler.step(*([1.0] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else []))
        group = optimizer.param_groups[0]
        seen.append({key: group[key] for key in ("lr", "momentum", "betas") if key in group})
    return seen


def test_that_all_of_torchs_schedulers_are_tried() -> None:
    ours = {
        name
        for name, value in vars(lr_scheduler).items()
        if inspect.isclass(value)
        and issubclass(value, lr_scheduler.LRScheduler)
        and name not in ("LRScheduler", "_LRScheduler")
    }
    assert ours == set(SCHEDULERS)
    assert RATELESS and len(RATED) > 10


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning")
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", RATED)
def test_that_a_scheduler_sets_the_rates_that_it_sets_on_torchs_sgd(
    name: str, scheduler: str
) -> None:
    optimizer = _create(name)
    rate = optimizer.param_groups[0]["lr"]
    reference = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=rate)
    expected = _values(SCHEDULERS[scheduler](reference), reference)
    found = _values(SCHEDULERS[scheduler](optimizer), optimizer)
    assert [one["lr"] for one in found] == [one["lr"] for one in expected]


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning")
@pytest.mark.parametrize("scheduler", MOMENTUM_CYCLES)
@pytest.mark.parametrize("name", RATED)
def test_that_a_cycle_of_momentum_works_or_is_refused_in_torchs_words(
    name: str, scheduler: str
) -> None:
    optimizer = _create(name)
    values = optimizer.param_groups[0]
    if "momentum" not in values and "betas" not in values:
        with pytest.raises(ValueError, match="must support momentum"):
            MOMENTUM_CYCLES[scheduler](optimizer)
        return
    found = _values(MOMENTUM_CYCLES[scheduler](optimizer), optimizer)
    assert len({str(one) for one in found}) > 1


@pytest.mark.parametrize("scheduler", {**SCHEDULERS, **MOMENTUM_CYCLES})
@pytest.mark.parametrize("name", RATELESS)
def test_that_a_method_without_a_rate_refuses_a_scheduler_in_a_sentence(
    name: str, scheduler: str
) -> None:
    for schedules in (SCHEDULERS, MOMENTUM_CYCLES):
        if scheduler not in schedules:
            continue
        optimizer = _create(name)
        before = dict(optimizer.param_groups[0])
        with pytest.raises((TypeError, ValueError), match=f"{REFUSED}|must support momentum"):
            schedules[scheduler](optimizer)
        assert dict(optimizer.param_groups[0]) == before


@pytest.mark.parametrize("name", RATELESS)
def test_that_the_refusal_survives_copies_and_loading(name: str) -> None:
    optimizer = _create(name)
    loaded = _create(name)
    loaded.load_state_dict(optimizer.state_dict())
    for one in (
        copy.deepcopy(optimizer),
        pickle.loads(pickle.dumps(optimizer)),  # noqa: S301 -- bytes of our own
        loaded,
    ):
        with pytest.raises(TypeError, match=rf"^{name} {REFUSED}.*leave the scheduler out\.$"):
            lr_scheduler.StepLR(one, 2)
        with pytest.raises(KeyError, match="other"):
            one.param_groups[0]["other"]
