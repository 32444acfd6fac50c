"""Rules that update many parameters at once: the same bits as one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab import optim
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.optimizers.momentum import Momentum
from optlab.catalogue.optimizers.sgd import SGD
from optlab.core import registry
from optlab.optim import list_steps
from optlab.optim import rule as rule_module
from optlab.optim.flat.steps import FlatSteps
from optlab.optim.rule import RuleOptimizer
from optlab.optim.tensor_lists import Iterates, TensorList, assign, understood

NAMES = ("AdaDelta", "AdaGrad", "Adam", "AdamW", "Lion", "Momentum", "RMSProp", "SGD")
SHAPES = ((), (3,), (4, 5), (2, 3, 2), (1,))


def classes() -> dict[str, type[Optimizer]]:
    return {one.__name__: one for one in registry.components("optimizer")}


def test_the_rules_that_are_applied_to_lists() -> None:
    found = {name for name, rule in classes().items() if understood(rule)}
    assert set(NAMES) <= found
    assert not found & {"Nesterov", "RMSPropNesterov", "Newton"}


def trained(
    name: str, monkeypatch: pytest.MonkeyPatch, *, lists: bool, dtype: torch.dtype, **given: Any
) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Parameters and states after some steps, with gradients missing now and then."""
    calls: list[int] = []
    original = list_steps.update_list

    def counted(rule: Any, group: Any, parameters: list[Any], *rest: Any) -> None:
        calls.append(len(parameters))
        original(rule, group, parameters, *rest)

    monkeypatch.setattr(rule_module, "update_list", counted)
    monkeypatch.setattr(rule_module, "understood", understood if lists else lambda rule: False)
    monkeypatch.setattr(list_steps, "_LIST_VALUES", 24)
    monkeypatch.setattr(FlatSteps, "begun", lambda *_: None)
    generator = torch.Generator().manual_seed(3)

    def drawn(shape: tuple[int, ...], kind: torch.dtype = dtype) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(kind)

    complex_dtype = torch.complex128 if dtype == torch.float64 else torch.complex64
    parameters = [torch.nn.Parameter(drawn(shape)) for shape in SHAPES]
    parameters.append(torch.nn.Parameter(drawn((2,), complex_dtype)))
    parameters.append(torch.nn.Parameter(drawn((5, 4)).t()))
    made: Callable[..., Any] = getattr(optim, name)
    optimizer = made(
        [{"params": parameters[:3]}, {"params": parameters[3:], "lr": 0.02}], lr=0.05, **given
    )
    for step in range(6):
        for index, parameter in enumerate(parameters):
            parameter.grad = drawn(tuple(parameter.shape), parameter.dtype)
            if (index + step) % 5 == 0:
                parameter.grad = None
        optimizer.step()
    assert bool(calls) == lists
    return [p.detach() for p in parameters], [dict(optimizer.state[p]) for p in parameters]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_that_lists_give_the_same_bits(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"maximize": True, "weight_decay": 0.1}
    with monkeypatch.context() as patch:
        together = trained(name, patch, lists=True, dtype=dtype, **given)
    with monkeypatch.context() as patch:
        one_by_one = trained(name, patch, lists=False, dtype=dtype, **given)
    for first, second in zip(together[0], one_by_one[0], strict=True):
        assert torch.equal(first, second)
    for first, second in zip(together[1], one_by_one[1], strict=True):
        assert first.keys() == second.keys()
        for entry, value in first.items():
            assert value.shape == second[entry].shape
            assert value.dtype == second[entry].dtype
            assert torch.equal(value, second[entry])


def test_that_a_step_writes_to_no_tensor_of_the_state() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = optim.Momentum([parameter], lr=0.1)
    parameter.grad = torch.ones(3)
    for _ in range(2):
        optimizer.step()
    saved = dict(optimizer.state_dict()["state"][0])
    v, step = saved["v"].clone(), int(saved["step"])
    optimizer.step()
    assert torch.equal(saved["v"], v)
    assert int(saved["step"]) == step == 2
    assert int(optimizer.state[parameter]["step"]) == 3


class Keeping(SGD):
    """A rule whose state is what it was given."""

    @staticmethod
    def start(theta: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"g": torch.zeros_like(theta), "t": torch.zeros_like(theta)}

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: dict[str, torch.Tensor], h: Any
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return theta - h.lr * g, {"g": g, "t": theta}


def test_that_a_state_shares_no_memory_with_parameters_and_gradients() -> None:
    assert understood(Keeping)
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = RuleOptimizer.of(Keeping, __name__)([parameter], lr=0.1)
    parameter.grad = torch.ones(3)
    for _ in range(3):
        before = parameter.detach().clone()
        optimizer.step()
    parameter.grad.fill_(7.0)
    state = optimizer.state[parameter]
    assert torch.equal(state["g"], torch.ones(3))
    assert torch.equal(state["t"], before)


class Branching(Momentum):
    """A rule that looks at its numbers."""

    @staticmethod
    def update(theta: Any, g: Any, state: Any, h: Any) -> Any:
        return theta - h.lr * torch.where(g > 0, g, 2.0 * g), {"v": state["v"]}


def test_that_a_rule_with_other_operations_is_applied_one_by_one() -> None:
    assert not understood(Branching)
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = RuleOptimizer.of(Branching, __name__)([parameter], lr=1.0)
    parameter.grad = torch.tensor([1.0, -1.0])
    optimizer.step()
    optimizer.step()
    assert parameter.tolist() == [-2.0, 4.0]


def test_that_a_sum_with_the_parameters_can_be_used_further() -> None:
    parameters = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    theta, step = Iterates(parameters), TensorList([torch.tensor([0.5, 1.0]), torch.tensor([1.0])])
    moved = theta - step
    doubled = 2.0 * moved
    assert [t.tolist() for t in doubled.tensors] == [[1.0, 2.0], [4.0]]
    assign(theta, moved)
    assert [t.tolist() for t in parameters] == [[0.5, 1.0], [2.0]]
    assign(theta, theta + step)
    assert [t.tolist() for t in parameters] == [[1.0, 2.0], [3.0]]
    others = Iterates([torch.zeros(2), torch.zeros(1)])
    assign(others, theta - step)
    assert [t.tolist() for t in others.tensors] == [[0.5, 1.0], [2.0]]
    assert [t.tolist() for t in parameters] == [[1.0, 2.0], [3.0]]
