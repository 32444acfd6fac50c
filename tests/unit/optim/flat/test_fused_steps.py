"""Fused steps as a user asks for them; that they have the same bits is in ``test_flat_steps``."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest
import torch

from optlab import optim
from optlab.optim.flat.fusible import fusible
from optlab.optim.flat.listing import listing
from optlab.optim.flat.stages import stages

FUSED = ("AdEMAMix", "AdaDelta", "AdaGrad", "Adam", "AdamW", "Lion", "Momentum", "RMSProp", "SGD")


def rules() -> list[Any]:
    return [getattr(optim, name) for name in optim.__all__]


def parameters(dtype: torch.dtype = torch.float64) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    drawn = (torch.randn(shape, generator=generator) for shape in ((300, 7), (11,), (2, 3, 4)))
    return [torch.nn.Parameter(one.to(dtype)) for one in drawn]


def step(optimizer: Any, given: list[torch.nn.Parameter], count: int = 5) -> None:
    generator = torch.Generator().manual_seed(2)
    for _ in range(count):
        for one in given:
            one.grad = torch.randn(one.shape, generator=generator).to(one.dtype)
        optimizer.step()


def test_that_rules_of_elementwise_arithmetic_can_be_fused_and_no_others() -> None:
    by_signature = {
        made.__name__ for made in rules() if "fused" in inspect.signature(made).parameters
    }
    assert by_signature == set(FUSED)
    with pytest.raises(TypeError, match="unexpected keyword argument 'fused'; its signature is"):
        optim.Shampoo(parameters(), fused=True)


@pytest.mark.parametrize("name", FUSED)
def test_that_loops_are_used_and_keep_the_bits_of_many_values(name: str) -> None:
    # So many that torch takes roots from a library that does not always round to nearest.
    ours, theirs = parameters(), parameters()
    fused, plain = getattr(optim, name)(ours, fused=True), getattr(optim, name)(theirs, fused=False)
    step(fused, ours)
    step(plain, theirs)
    (group,) = fused._flat_steps._groups.values()
    assert [type(block).__name__ for block, _, _ in group.cohorts[0]._blocks] == ["FusedBlock"]
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
        for entry, value in fused.state[one].items():
            assert torch.equal(value, plain.state[other][entry]), entry


def test_that_a_group_can_be_fused_by_itself() -> None:
    ours, theirs = parameters(), parameters()
    fused = optim.Adam([{"params": ours[:1], "fused": True}, {"params": ours[1:]}], fused=False)
    step(fused, ours)
    step(optim.Adam(theirs, fused=False), theirs)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    kinds = [
        type(group.cohorts[0]._blocks[0][0]).__name__
        for group in fused._flat_steps._groups.values()
    ]
    assert kinds == ["FusedBlock", "SharedBlock"]
    assert fused.fused_groups == (True, False)


def test_that_a_machine_without_compiler_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("PATH", "")
    given = parameters()
    with pytest.raises(RuntimeError, match="No C\\+\\+ compiler was found: install GCC or Clang"):
        optim.Adam(given, fused=True)
    optimizer = optim.Adam(given[:1])
    with pytest.raises(RuntimeError, match="No C\\+\\+ compiler was found"):
        optimizer.add_param_group({"params": given[1:], "fused": True})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64], ids=str)
def test_that_parameters_which_no_loop_can_update_are_refused(dtype: torch.dtype) -> None:
    given = [*parameters(), torch.nn.Parameter(torch.ones(2, dtype=dtype))]
    with pytest.raises(
        ValueError,
        match=rf"^Adam: fused steps need dense float32 or float64 .* {dtype} of shape \(2,\)",
    ):
        optim.Adam(given, fused=True)
    optim.Adam([*parameters(), torch.nn.Parameter(torch.ones(0))], fused=True)


def test_that_a_loaded_state_leaves_the_choice_to_the_optimizer() -> None:
    ours = parameters()
    fused = optim.Adam(ours, fused=True)
    step(fused, ours)
    theirs = copy.deepcopy(ours)
    plain = optim.Adam(theirs, fused=False)
    plain.load_state_dict(copy.deepcopy(fused.state_dict()))
    assert plain.param_groups[0]["fused"] is False
    step(plain, theirs)
    step(fused, ours)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    fused.load_state_dict(torch.optim.Adam(theirs, fused=False).state_dict())
    assert fused.param_groups[0]["fused"] is True


def test_that_values_lie_in_memory_only_between_the_loops_that_need_them() -> None:
    rule = optim.Adam.rule
    numbers = tuple(field.name for field in rule.fields())
    found = listing(rule, (), numbers, ("s", "r"), decays=False, maximizes=False)
    assert found is not None and fusible(rule)
    made = stages(found)
    assert made.names == ("theta", "gradient", "state.s", "state.r", None)
    first, second = made.loops
    # The second moment and its root, then the first moment and the parameters.
    assert [array for array, _ in first.stores] == [3, 4] and made.roots == ((4,), ())
    assert sorted(array for array, _ in second.stores) == [0, 2]
