"""State of the torch faces: saving, copying, and what a rule may keep."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import optlab.optim
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.optim import RuleOptimizer

NAMES = ["SGD", "Momentum", "Nesterov", "Adam"]


def step(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter, number: int) -> None:
    parameter.grad = torch.sin(
        torch.arange(parameter.numel(), dtype=parameter.dtype) + number
    ).view_as(parameter)
    optimizer.step()


def trained(name: str, steps: int = 5) -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
    parameter = torch.nn.Parameter(torch.linspace(-1.0, 1.0, 6).reshape(2, 3))
    optimizer = getattr(optlab.optim, name)([parameter], lr=0.1)
    for number in range(steps):
        step(optimizer, parameter, number)
    return parameter, optimizer


@pytest.mark.parametrize("name", NAMES)
def test_that_state_has_the_shape_of_its_parameter_and_counts_steps(name: str) -> None:
    parameter, optimizer = trained(name)
    state = optimizer.state[parameter]
    assert state["step"].item() == 5
    assert all(value.shape == (2, 3) for key, value in state.items() if key != "step")


@pytest.mark.parametrize("name", NAMES)
def test_that_a_loaded_state_continues_bit_for_bit(name: str) -> None:
    parameter, optimizer = trained(name)
    twin = torch.nn.Parameter(parameter.detach().clone())
    other = getattr(optlab.optim, name)([twin], lr=0.7)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for number in range(5, 9):
        step(optimizer, parameter, number)
        step(other, twin, number)
    assert torch.equal(parameter, twin)
    assert other.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("name", NAMES)
def test_that_a_state_dict_passes_torchs_safe_loader(name: str) -> None:
    _, optimizer = trained(name)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)  # noqa: TID251 -- our own bytes, and the safe loader is what is tested
    assert loaded["param_groups"] == optimizer.state_dict()["param_groups"]
    for key, value in optimizer.state_dict()["state"][0].items():
        assert torch.equal(loaded["state"][0][key], value)


@pytest.mark.parametrize("name", NAMES)
def test_that_a_deep_copy_of_module_and_optimizer_continues_alike_and_apart(name: str) -> None:
    parameter, optimizer = trained(name)
    twin, other = copy.deepcopy((parameter, optimizer))
    assert type(other) is type(optimizer)
    step(other, twin, 5)
    assert not torch.equal(parameter, twin)
    step(optimizer, parameter, 5)
    assert torch.equal(parameter, twin)


@pytest.mark.parametrize("name", NAMES)
def test_that_a_pickled_optimizer_comes_back_as_its_class(name: str) -> None:
    import pickle  # noqa: TID251 -- users pickle optimizers (so does multiprocessing); these bytes are our own

    parameter, optimizer = trained(name)
    twin, other = pickle.loads(pickle.dumps((parameter, optimizer)))  # noqa: S301
    assert type(other) is getattr(optlab.optim, name)
    step(other, twin, 5)
    step(optimizer, parameter, 5)
    assert torch.equal(parameter, twin)


def test_that_state_takes_the_precision_of_the_parameter_that_loads_it() -> None:
    parameter, optimizer = trained("Adam")
    double = torch.nn.Parameter(parameter.detach().double())
    other = optlab.optim.Adam([double])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[double]["s"].dtype is torch.float64
    step(other, double, 5)
    assert other.state[double]["step"].item() == 6


def test_that_strided_and_half_precision_parameters_are_stepped_in_place() -> None:
    strided = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).t())
    plain = torch.nn.Parameter(strided.detach().clone().contiguous())
    for parameter in (strided, plain):
        parameter.grad = torch.ones(3, 2) * torch.tensor([1.0, -2.0])
        address = parameter.data_ptr()
        optlab.optim.Momentum([parameter], lr=0.5).step()
        assert parameter.data_ptr() == address
    assert torch.equal(strided, plain)
    half = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    half.grad = torch.ones_like(half)
    optlab.optim.Adam([half], lr=0.5).step()
    assert half.dtype is torch.bfloat16
    assert half.tolist() == [0.5, 0.5, 0.5]


def test_that_scalar_and_empty_parameters_are_stepped() -> None:
    scalar, empty = torch.nn.Parameter(torch.tensor(2.0)), torch.nn.Parameter(torch.empty(0, 3))
    for parameter in (scalar, empty):
        parameter.grad = torch.ones_like(parameter)
    optimizer = optlab.optim.Nesterov([scalar, empty], lr=0.5, momentum=0.0)
    optimizer.step()
    assert scalar.item() == 1.5
    assert optimizer.state[scalar]["v"].shape == ()


def test_that_what_a_rule_keeps_is_not_the_memory_of_parameter_or_gradient() -> None:
    """A rule may hand on its arguments as state; torch writes into both afterwards."""

    class Hoarder(Optimizer):
        """Keeps what it is given."""

        lr: float = 0.1  # type: ignore[assignment]

        @staticmethod
        def start(theta: torch.Tensor) -> State:
            return {"first": theta, "last": theta, "g": theta}

        @staticmethod
        def update(
            theta: torch.Tensor, g: torch.Tensor, state: State, h: Any
        ) -> tuple[torch.Tensor, State]:
            return theta - g, {"first": state["first"], "last": theta, "g": g}

        @classmethod
        def fields(cls) -> tuple[Any, ...]:
            return ()

    made = RuleOptimizer.of(Hoarder, __name__)
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = made([parameter])
    for _ in range(2):
        parameter.grad = torch.tensor([0.25, 0.5])
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    state = optimizer.state[parameter]
    assert state["first"].tolist() == [1.0, 2.0]
    assert state["last"].tolist() == [0.75, 1.5]
    assert state["g"].tolist() == [0.25, 0.5]


@pytest.mark.parametrize(("fused", "most"), [(False, 3.2), (True, 2.8)])
def test_that_the_first_step_makes_the_state_once(fused: bool, most: float) -> None:
    """Tensors of each parameter that are copied side by side would be in memory twice."""
    parameters = [torch.nn.Parameter(torch.ones(size)) for size in (9_000,) * 40 + (200_000,) * 3]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer = optlab.optim.Adam(parameters, fused=fused)
    made: dict[int, tuple[int, Any]] = {}

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            for one in result if isinstance(result, (list, tuple)) else [result]:
                if isinstance(one, torch.Tensor) and not one.is_meta:
                    storage = one.untyped_storage()
                    made[storage.data_ptr()] = storage.nbytes(), storage  # held, so kept apart
            return result

    with Counting():
        optimizer.step()
    own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    own |= {parameter.grad.untyped_storage().data_ptr() for parameter in parameters}  # type: ignore[union-attr]
    values = sum(parameter.numel() for parameter in parameters)
    # Two for the state, the small parameters side by side, and some for a block.
    assert sum(size for place, (size, _) in made.items() if place not in own) < most * 4 * values
