"""The torch face of each rule against torch's own optimizers, on a real small network in float64."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

import optlab.optim

STEPS = 500


@functools.cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.from_numpy(x / 16.0), torch.from_numpy(y)


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(64, 12), torch.nn.Tanh(), torch.nn.Linear(12, 10)
    ).double()


def batch_loss(model: torch.nn.Module, step: int) -> torch.Tensor:
    x, y = digits()
    rows = slice(step * 32 % 1760, step * 32 % 1760 + 32)
    return torch.nn.functional.cross_entropy(model(x[rows]), y[rows])


def train(
    make: Callable[[Any], torch.optim.Optimizer],
    steps: int = STEPS,
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None,
) -> tuple[torch.Tensor, torch.optim.Optimizer]:
    """Parameters after a run with ``loss.backward(); step()``, and the optimizer."""
    model = network()
    optimizer = make(model.parameters())
    scheduler = schedule(optimizer) if schedule else None
    for step in range(steps):
        optimizer.zero_grad()
        batch_loss(model, step).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach(), optimizer


def agree(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-12) -> None:
    start = torch.nn.utils.parameters_to_vector(network().parameters()).detach()
    assert (theirs - start).abs().max() > 1e-2, "torch did not move, so there is nothing to compare"
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def ours_and_theirs(
    ours: Callable[[Any], torch.optim.Optimizer],
    theirs: Callable[[Any], torch.optim.Optimizer],
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    return train(ours, **kwargs)[0], train(theirs, **kwargs)[0]


def test_that_sgd_equals_torch() -> None:
    agree(
        *ours_and_theirs(
            lambda p: optlab.optim.SGD(p, lr=0.3), lambda p: torch.optim.SGD(p, lr=0.3)
        )
    )


@pytest.mark.parametrize("form", ["notes", "torch"])
def test_that_momentum_equals_torch_at_a_constant_rate(form: str) -> None:
    agree(
        *ours_and_theirs(
            lambda p: optlab.optim.Momentum(p, 0.05, momentum=0.9, form=form),
            lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
        )
    )


def test_that_adam_equals_torch() -> None:
    agree(
        *ours_and_theirs(
            lambda p: optlab.optim.Adam(p, 0.003, betas=(0.85, 0.99), eps=1e-6),
            lambda p: torch.optim.Adam(p, 0.003, betas=(0.85, 0.99), eps=1e-6),
        )
    )


@pytest.mark.parametrize("form", ["notes", "torch"])
def test_that_nesterov_is_where_torch_is_at_a_constant_rate(form: str) -> None:
    """Between steps without closures both hold the interim point θ + αv."""
    agree(
        *ours_and_theirs(
            lambda p: optlab.optim.Nesterov(p, 0.05, momentum=0.9, form=form),
            lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
        )
    )


def test_that_nesterov_equals_torch_after_the_change_of_variables() -> None:
    """θ = φ − αv, where torch's buffer b holds v/(−ε)."""
    model = network()
    optimizer = optlab.optim.Nesterov(model.parameters(), 0.05, momentum=0.9)
    for step in range(STEPS):

        def closure(step: int = step) -> torch.Tensor:
            optimizer.zero_grad()
            loss = batch_loss(model, step)
            loss.backward()
            return loss

        optimizer.step(closure)
    theta = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    phi, batch_objective = train(lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True))
    buffers = torch.cat(
        [
            batch_objective.state[p]["momentum_buffer"].flatten()
            for p in batch_objective.param_groups[0]["params"]
        ]
    )
    agree(theta, phi + 0.9 * 0.05 * buffers)


PAIRS: dict[
    str, tuple[Callable[..., torch.optim.Optimizer], Callable[..., torch.optim.Optimizer]]
] = {
    "sgd": (
        lambda p, **k: optlab.optim.SGD(p, lr=0.1, **k),
        lambda p, **k: torch.optim.SGD(p, lr=0.1, **k),
    ),
    "momentum": (
        lambda p, **k: optlab.optim.Momentum(p, lr=0.02, **k),
        lambda p, **k: torch.optim.SGD(p, lr=0.02, momentum=0.9, **k),
    ),
    "nesterov": (
        lambda p, **k: optlab.optim.Nesterov(p, lr=0.02, **k),
        lambda p, **k: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, **k),
    ),
    "adam": (
        lambda p, **k: optlab.optim.Adam(p, lr=0.002, **k),
        lambda p, **k: torch.optim.Adam(p, lr=0.002, **k),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_that_weight_decay_equals_torch(name: str) -> None:
    ours, theirs = PAIRS[name]
    agree(
        *ours_and_theirs(
            lambda p: ours(p, weight_decay=0.05), lambda p: theirs(p, weight_decay=0.05), steps=200
        )
    )


@pytest.mark.parametrize("name", PAIRS)
def test_that_maximize_equals_torch(name: str) -> None:
    ours, theirs = PAIRS[name]
    agree(
        *ours_and_theirs(
            lambda p: ours(p, maximize=True, weight_decay=0.1),
            lambda p: theirs(p, maximize=True, weight_decay=0.1),
            steps=40,
        ),
        tolerance=1e-10,
    )


@pytest.mark.parametrize("name", PAIRS)
def test_that_groups_with_rates_and_decays_of_their_own_equal_torch(name: str) -> None:
    def groups(p: Any) -> list[dict[str, Any]]:
        members = list(p)
        return [{"params": members[:2], "lr": 0.001}, {"params": members[2:], "weight_decay": 0.1}]

    ours, theirs = PAIRS[name]
    agree(
        *ours_and_theirs(lambda p: ours(groups(p)), lambda p: theirs(groups(p)), steps=100),
        tolerance=1e-11,
    )


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=20, gamma=0.3),
    "one_cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.05, total_steps=101),
    "cyclic": lambda o: torch.optim.lr_scheduler.CyclicLR(
        o, base_lr=0.001, max_lr=0.05, step_size_up=15
    ),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=80),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("nesterov", [False, True])
def test_that_the_torch_form_equals_torch_under_a_scheduler(scheduler: str, nesterov: bool) -> None:
    make = optlab.optim.Nesterov if nesterov else optlab.optim.Momentum
    agree(
        *ours_and_theirs(
            lambda p: make(p, 0.05, momentum=0.9, form="torch"),
            lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=nesterov),
            steps=100,
            schedule=SCHEDULERS[scheduler],
        )
    )


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_that_adam_equals_torch_under_a_scheduler_that_also_cycles_its_first_decay(
    scheduler: str,
) -> None:
    agree(
        *ours_and_theirs(
            lambda p: optlab.optim.Adam(p, 0.002),
            lambda p: torch.optim.Adam(p, 0.002),
            steps=100,
            schedule=SCHEDULERS[scheduler],
        )
    )


def test_that_the_form_of_the_notes_parts_from_torch_under_a_scheduler() -> None:
    ours, theirs = ours_and_theirs(
        lambda p: optlab.optim.Momentum(p, 0.05, momentum=0.9),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
        steps=100,
        schedule=SCHEDULERS["step"],
    )
    assert (ours - theirs).abs().max() > 1e-3


@pytest.mark.parametrize("name", PAIRS)
def test_that_a_rate_in_a_tensor_is_a_rate(name: str) -> None:
    ours, _ = PAIRS[name]
    rate = ours([torch.nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"]
    make = getattr(optlab.optim, {"sgd": "SGD"}.get(name, name.capitalize()))
    for tensor in (
        torch.tensor(rate, dtype=torch.float64),
        torch.tensor([rate], dtype=torch.float64),
    ):
        agree(train(lambda p, lr=tensor: make(p, lr=lr), 60)[0], train(ours, 60)[0])


@pytest.mark.parametrize("name", PAIRS)
def test_that_complex_parameters_are_pairs_of_reals_as_in_torch(name: str) -> None:
    def run(make: Callable[..., torch.optim.Optimizer]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(5)
        z = torch.nn.Parameter(torch.randn(3, 2, dtype=torch.complex128, generator=generator))
        target = torch.randn(3, 2, dtype=torch.complex128, generator=generator)
        optimizer = make([z], weight_decay=0.01)
        for _ in range(50):
            optimizer.zero_grad()
            ((z - target) * (1.0 + 2.0j)).abs().square().sum().backward()
            optimizer.step()
        return z.detach()

    ours, theirs = PAIRS[name]
    torch.testing.assert_close(run(ours), run(theirs), rtol=1e-12, atol=1e-12)
