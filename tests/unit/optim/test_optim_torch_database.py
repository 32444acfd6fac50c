"""torch's own database of optimizer inputs, and its generic checks, over our classes.

From ``torch.testing._internal.common_optimizers`` (SGD's and Adam's entries) as far as arguments
are shared, with the checks of torch's ``test_optim.py`` rewritten for them.
"""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

import pytest
import torch
from torch.testing._internal import common_optimizers as database

import optlab.optim

CPU = "cpu"
ENTRIES = {
    "SGD": (
        database.optim_inputs_func_sgd,
        database.optim_error_inputs_func_sgd,
        torch.optim.SGD,
        {"lr": 0.01},
        {"lr": 0.01},
    ),
    "Momentum": (
        database.optim_inputs_func_sgd,
        database.optim_error_inputs_func_sgd,
        torch.optim.SGD,
        {"lr": 0.01},
        {"lr": 0.01, "momentum": 0.9},
    ),
    "Nesterov": (
        database.optim_inputs_func_sgd,
        database.optim_error_inputs_func_sgd,
        torch.optim.SGD,
        {"lr": 0.01},
        {"lr": 0.01, "momentum": 0.9, "nesterov": True},
    ),
    "Adam": (
        database.optim_inputs_func_adam,
        database.optim_error_inputs_func_adam,
        torch.optim.Adam,
        {},
        {},
    ),
}


def shared(name: str, kwargs: dict[str, Any]) -> bool:
    """Whether our class has all of these arguments."""
    return set(kwargs) <= set(inspect.signature(getattr(optlab.optim, name)).parameters)


INPUTS = [
    pytest.param(name, entry.kwargs, id=f"{name}: {entry.desc}")
    for name, (inputs, *_) in ENTRIES.items()
    for entry in inputs(CPU, torch.float64)
    if shared(name, entry.kwargs)
]
ERRORS = [
    pytest.param(name, entry, id=f"{name}: {entry.optimizer_error_input.desc}")
    for name, (_, errors, *_) in ENTRIES.items()
    for entry in errors(CPU, torch.float64)
    if shared(name, entry.optimizer_error_input.kwargs)
    and "betas must be either" not in (entry.error_regex or "")
]
OUR_WORDS = {
    "Invalid beta parameter at index 0: 1.0": r"betas\[0\] is 1.0, but it must be",
    "Invalid weight_decay value: -1": r"weight_decay is -1.0, but it must be",
    "Invalid momentum value: -0.5": r"momentum is -0.5, but it must be",
    "Tensor lr must be 1-element": "Tensor lr must be 1-element",
}
"""torch's sentence → ours, where ours differs."""


def problem() -> tuple[torch.nn.Parameter, torch.nn.Parameter, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(10, 5, generator=generator, dtype=torch.float64))
    bias = torch.nn.Parameter(torch.randn(10, generator=generator, dtype=torch.float64))
    return weight, bias, torch.randn(5, generator=generator, dtype=torch.float64)


def closure_for(
    optimizer: torch.optim.Optimizer,
    weight: torch.nn.Parameter,
    bias: torch.nn.Parameter,
    x: torch.Tensor,
) -> Any:
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (weight.mv(x) + bias).pow(2).sum()
        loss.backward()
        return loss

    return closure


def make(name: str, params: Any, kwargs: dict[str, Any]) -> torch.optim.Optimizer:
    """Our class; a rate in a tensor is one that the optimizer and no other test may write to."""
    return getattr(optlab.optim, name)(params, **copy.deepcopy(kwargs))


def test_that_the_database_has_inputs_and_errors_for_every_class() -> None:
    assert len(INPUTS) >= 20
    assert len(ERRORS) >= 20


@pytest.mark.parametrize(("name", "kwargs"), INPUTS)
def test_that_an_input_of_the_database_gives_torchs_numbers(
    name: str, kwargs: dict[str, Any]
) -> None:
    _, _, batch_objective, ours_base, theirs_base = ENTRIES[name]
    found = []
    for ours in (True, False):
        weight, bias, x = problem()
        both = [weight, bias]
        optimizer = (
            make(name, both, {**ours_base, **kwargs})
            if ours
            else batch_objective(both, **copy.deepcopy({**theirs_base, **kwargs}))
        )
        closure = closure_for(optimizer, weight, bias, x)
        for _ in range(30):
            closure()
            optimizer.step()
        found.append((weight.detach(), bias.detach()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "entry"), ERRORS)
def test_that_a_wrong_input_of_the_database_is_refused(name: str, entry: Any) -> None:
    given = entry.optimizer_error_input
    params = given.params if given.params is not None else [torch.nn.Parameter(torch.ones(1))]
    words = OUR_WORDS.get(entry.error_regex, entry.error_regex)
    if entry.error_type is UserWarning:
        with pytest.warns(UserWarning, match=words):
            make(name, params, given.kwargs)
    else:
        with pytest.raises(entry.error_type, match=words):
            make(name, params, given.kwargs)


@pytest.mark.parametrize(("name", "kwargs"), INPUTS)
@pytest.mark.parametrize("with_closure", [False, True])
def test_that_a_state_dict_round_trip_continues_alike(
    name: str, kwargs: dict[str, Any], with_closure: bool
) -> None:
    weight, bias, x = problem()
    optimizer = make(name, [weight, bias], kwargs)
    closure = closure_for(optimizer, weight, bias, x)

    def step(opt: torch.optim.Optimizer, evaluate: Any) -> None:
        if with_closure:
            opt.step(evaluate)
        else:
            evaluate()
            opt.step()

    for _ in range(5):
        step(optimizer, closure)
    twin_weight, twin_bias = copy.deepcopy(weight), copy.deepcopy(bias)
    twin = make(name, [twin_weight, twin_bias], {})
    saved = copy.deepcopy(optimizer.state_dict())
    twin.load_state_dict(saved)
    assert str(twin.state_dict()) == str(optimizer.state_dict()) == str(saved)
    evaluate = closure_for(twin, twin_weight, twin_bias, x)
    for _ in range(5):
        step(optimizer, closure)
        step(twin, evaluate)
    assert torch.equal(weight, twin_weight)
    assert torch.equal(bias, twin_bias)


@pytest.mark.parametrize("name", ENTRIES)
def test_that_a_state_saved_before_an_argument_existed_takes_its_default(name: str) -> None:
    weight, bias, x = problem()
    optimizer = make(name, [weight, bias], {})
    closure = closure_for(optimizer, weight, bias, x)
    optimizer.step(closure)
    saved = optimizer.state_dict()
    for group in saved["param_groups"]:
        group.pop("maximize")
        group.pop("form", None)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["maximize"] is False
    optimizer.step(closure)


@pytest.mark.parametrize("name", ENTRIES)
def test_that_a_state_dict_with_names_loads_into_an_optimizer_without(name: str) -> None:
    weight, bias, x = problem()
    named = make(name, [("weight", weight), ("bias", bias)], {})
    named.step(closure_for(named, weight, bias, x))
    assert named.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    plain = make(name, [weight, bias], {})
    plain.load_state_dict(named.state_dict())
    plain.step(closure_for(plain, weight, bias, x))


@pytest.mark.parametrize("name", ENTRIES)
def test_that_a_group_may_be_added_on_the_way(name: str) -> None:
    weight, bias, x = problem()
    optimizer = make(name, [weight], {})
    closure = closure_for(optimizer, weight, bias, x)
    optimizer.step(closure)
    before = bias.detach().clone()
    optimizer.add_param_group({"params": bias, "lr": 0.005})
    optimizer.step(closure)
    assert not torch.equal(bias, before)
    assert optimizer.state[weight]["step"] == 2
    assert optimizer.state[bias]["step"] == 1
    assert optimizer.param_groups[1]["lr"] == 0.005


@pytest.mark.parametrize("name", ENTRIES)
def test_that_a_step_without_gradients_does_nothing(name: str) -> None:
    weight, bias, _ = problem()
    before = weight.detach().clone()
    optimizer = make(name, [weight, bias], {"weight_decay": 0.1})
    optimizer.step()
    assert torch.equal(weight, before)
    assert not optimizer.state_dict()["state"]


@pytest.mark.parametrize("name", ENTRIES)
def test_that_a_step_with_zero_gradients_counts_and_stays(name: str) -> None:
    weight, _, _ = problem()
    before = weight.detach().clone()
    optimizer = make(name, [weight], {})
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert torch.equal(weight, before)
    assert optimizer.state[weight]["step"] == 1


@pytest.mark.parametrize("name", ENTRIES)
def test_that_hooks_run_around_each_step(name: str) -> None:
    weight, bias, x = problem()
    optimizer = make(name, [weight, bias], {})
    calls: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    optimizer.register_state_dict_post_hook(lambda *_: calls.append("saved"))
    optimizer.step(closure_for(optimizer, weight, bias, x))
    optimizer.state_dict()
    assert calls == ["before", "after", "saved"]


@pytest.mark.parametrize("name", ENTRIES)
def test_that_what_it_shows_names_its_values(name: str) -> None:
    text = repr(make(name, problem()[0:1], {"lr": 0.125}))
    assert re.search(rf"{name} \(\nParameter Group 0\n", text)
    assert "lr: 0.125" in text


def test_that_torchs_gradient_scaler_steps_our_optimizers() -> None:
    weight, bias, x = problem()
    optimizer = make("Adam", [weight, bias], {})
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    before = weight.detach().clone()
    scaler.scale((weight.mv(x) + bias).pow(2).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert not torch.equal(weight, before)
