"""Steps in flat memory: the same bits as one parameter after the other, whatever is done between."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch

from optlab import optim
from optlab.catalogue.optimizers.momentum import Momentum
from optlab.optim.flat import block, cohort, fused
from optlab.optim.flat.fusible import fusible
from optlab.optim.flat.steps import FlatGroup, FlatSteps
from optlab.optim.rule import RuleOptimizer

RULES: dict[str, dict[str, Any]] = {
    "SGD": {},
    "Momentum": {"momentum": 0.8},
    "AdaGrad": {},
    "RMSProp": {},
    "AdaDelta": {"lr": 0.5},
    "Adam": {"betas": (0.8, 0.95)},
    "AdamW": {"weight_decay": 0.1},
    "Lion": {"weight_decay": 0.1},
    "AdEMAMix": {},
}
SHAPES = ((3,), (4, 5), (), (2, 3, 2), (7, 9), (1,), (5, 4))
"""With blocks of 24 values the fifth is large."""


class Twins:
    """An optimizer that steps in flat memory, and the same one that does not."""

    fused: ClassVar[bool | None] = False

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, name: str = "Adam", dtype: Any = None, **given: Any
    ) -> None:
        for module in (block, cohort, fused):
            monkeypatch.setattr(module, "BLOCK_VALUES", 24)
        self.generator = torch.Generator().manual_seed(5)
        self.dtype = dtype or torch.float64
        self.flat = [torch.nn.Parameter(self.drawn(shape)) for shape in SHAPES]
        self.flat.append(torch.nn.Parameter(self.drawn((6, 8)).t()))
        self.plain = copy.deepcopy(self.flat)
        made = getattr(optim, name)
        self.optimizers: list[Any] = [
            made(
                [{"params": own[:5]}, {"params": own[5:], "lr": 0.02}],
                **{"lr": 0.05, **({"fused": fuses} if fusible(made.rule) else {}), **given},
            )
            for own, fuses in ((self.flat, self.fused), (self.plain, False))
        ]
        self._refuse(self.optimizers[1])

    @staticmethod
    def _refuse(optimizer: Any) -> None:
        optimizer._flat_steps = FlatSteps(optimizer.rule, optimizer._begun)
        optimizer._flat_steps.begun = lambda *_: None

    def drawn(self, shape: Any) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(self.dtype)

    def both(self) -> list[tuple[Any, list[Any]]]:
        return list(zip(self.optimizers, (self.flat, self.plain), strict=True))

    def step(self, count: int = 3, without: tuple[int, ...] = ()) -> None:
        for _ in range(count):
            for index, (one, other) in enumerate(zip(self.flat, self.plain, strict=True)):
                one.grad = self.drawn(one.shape).to(one.dtype)
                other.grad = one.grad.clone()
                if index in without:
                    one.grad = other.grad = None
            for optimizer in self.optimizers:
                optimizer.step()

    def served(self) -> int:
        """Return the steps of the first group in flat memory since it was last begun."""
        flat = self.optimizers[0]._flat_steps
        return flat._groups[0].served if 0 in flat._groups else 0

    def agree(self) -> None:
        for one, other in zip(self.flat, self.plain, strict=True):
            assert torch.equal(one, other)
            ours, theirs = self.optimizers[0].state[one], self.optimizers[1].state[other]
            assert set(ours) == set(theirs)
            for entry, value in ours.items():
                assert torch.equal(value, theirs[entry]), entry
                assert (value.dtype, value.shape) == (theirs[entry].dtype, theirs[entry].shape)


@pytest.fixture(params=["flat", "apart", "fused", "threads"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test with operations one by one, with gradients that are not copied first, with
    loops, and with loops in three threads.
    """
    given: str = request.param
    monkeypatch.setattr(Twins, "fused", given in ("fused", "threads"))
    if given == "apart":
        monkeypatch.setattr(block, "APART_VALUES", 0)
    if given == "threads":
        monkeypatch.setattr(fused, "THREAD_VALUES", 4)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    return given


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", RULES)
def test_that_flat_memory_gives_the_same_bits(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = Twins(monkeypatch, name, dtype, **RULES[name])
    twins.step(4)
    for optimizer in twins.optimizers:
        optimizer.param_groups[0]["lr"] = 0.003  # as a scheduler does
    twins.step(4)
    assert twins.served() == 8
    twins.agree()


@pytest.mark.parametrize("form", ["notes", "torch"])
def test_that_decay_and_sign_are_part_of_the_step(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = Twins(monkeypatch, "Momentum", form=form, maximize=True, weight_decay=0.1)
    twins.step(3)
    for optimizer in twins.optimizers:
        optimizer.param_groups[0]["weight_decay"] = 0.0  # another list of operations
    twins.step(4)
    assert twins.served() > 0
    twins.agree()


class Late(Momentum):
    """A rule that needs its old velocity after the new one has been computed."""

    @staticmethod
    def update(theta: Any, g: Any, state: Any, h: Any) -> Any:
        v = h.momentum * state["v"] + g
        return theta - h.lr * (state["v"] + v), {"v": v}


class Later(Momentum):
    """A rule that moves by its old velocity."""

    @staticmethod
    def update(theta: Any, g: Any, state: Any, h: Any) -> Any:
        return theta - state["v"], {"v": h.momentum * state["v"] + g}


@pytest.mark.parametrize(("rule", "served"), [(Late, 4), (Later, 0)])
def test_that_an_old_state_stays_while_it_is_needed(
    rule: type[Momentum], served: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optim, rule.__name__, RuleOptimizer.of(rule, __name__), raising=False)
    twins = Twins(monkeypatch, rule.__name__)
    twins.step(4)
    twins.agree()
    assert twins.served() == served


def replaces_an_entry(optimizer: Any, parameters: list[Any]) -> None:
    optimizer.state[parameters[0]]["s"] = torch.full_like(parameters[0], 0.5).detach()


def replaces_a_state(optimizer: Any, parameters: list[Any]) -> None:
    optimizer.state[parameters[4]] = dict(optimizer.state[parameters[0]])
    for entry in ("s", "r"):
        optimizer.state[parameters[4]][entry] = torch.ones_like(parameters[4]).detach()


def replaces_memory(optimizer: Any, parameters: list[Any]) -> None:
    optimizer.state[parameters[1]]["r"].data = torch.ones(4, 5, dtype=torch.float64)


def clears_a_state(optimizer: Any, parameters: list[Any]) -> None:
    for state in optimizer.state.values():
        state["s"].zero_()


def forgets_a_state(optimizer: Any, parameters: list[Any]) -> None:
    del optimizer.state[parameters[2]]


def sets_a_count(optimizer: Any, parameters: list[Any]) -> None:
    optimizer.state[parameters[3]]["step"].fill_(1)


def loads_a_state(optimizer: Any, parameters: list[Any]) -> None:
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][1]["s"].mul_(3.0)
    optimizer.load_state_dict(saved)


def moves_a_parameter(optimizer: Any, parameters: list[Any]) -> None:
    for index in (0, 4):
        parameters[index].data = parameters[index].data.clone() + 1.0


def halves_the_precision(optimizer: Any, parameters: list[Any]) -> None:
    for parameter in parameters:
        parameter.grad = None
        parameter.data = parameter.data.float()
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(saved)


def freezes_a_parameter(optimizer: Any, parameters: list[Any]) -> None:
    parameters[1].requires_grad_(False)


def adds_a_group(optimizer: Any, parameters: list[Any]) -> None:
    parameters.append(torch.nn.Parameter(torch.ones(2, dtype=torch.float64)))
    optimizer.add_param_group({"params": [parameters[-1]], "lr": 0.3})


def gives_a_tensor_rate(optimizer: Any, parameters: list[Any]) -> None:
    optimizer.param_groups[0]["lr"] = torch.tensor(0.02)


def asks_for_the_state(optimizer: Any, parameters: list[Any]) -> None:
    optimizer.state_dict()


SEAMS = (
    *(replaces_an_entry, replaces_a_state, replaces_memory, clears_a_state, forgets_a_state),
    *(sets_a_count, loads_a_state, moves_a_parameter, freezes_a_parameter, adds_a_group),
    *(gives_a_tensor_rate, asks_for_the_state),
)


@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.__name__)
def test_that_the_next_steps_are_the_same_whatever_is_done_between(
    seam: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = Twins(monkeypatch)
    twins.step(3)
    assert twins.served() == 3
    for optimizer, parameters in twins.both():
        seam(optimizer, parameters)
    twins.step(4)
    twins.agree()


def test_that_a_value_that_changes_within_a_list_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twins = Twins(monkeypatch)
    for optimizer in twins.optimizers:
        optimizer.param_groups[0]["betas"] = [0.8, 0.95]
    twins.step(3)
    for optimizer in twins.optimizers:
        optimizer.param_groups[0]["betas"][0] = 0.5
    twins.step(2)
    for optimizer in twins.optimizers:
        optimizer.param_groups[0]["betas"][1] = torch.tensor(0.5)
    twins.step(2)
    twins.agree()


def test_that_gradients_may_be_missing_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = Twins(monkeypatch)
    for without in ((), (0, 4), (), (1,), (1,), (1,), (0, 1, 2, 3, 4), (), (2,), ()):
        twins.step(1, without)
    twins.step(20)
    twins.agree()
    assert twins.served() > 0


def test_that_parameters_that_move_to_another_precision_are_stepped_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twins = Twins(monkeypatch)
    twins.step(3)
    for optimizer, parameters in twins.both():
        halves_the_precision(optimizer, parameters)
    twins.dtype = torch.float32
    twins.step(3)
    assert all(one.dtype is torch.float32 for one in twins.flat)
    twins.agree()


def test_that_a_saved_state_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = Twins(monkeypatch)
    twins.step(3)
    state = twins.optimizers[0].state_dict()["state"]
    saved = [value for entries in state.values() for value in entries.values()]
    before = [value.clone() for value in saved]
    twins.step(3)
    assert all(torch.equal(one, its) for one, its in zip(saved, before, strict=True))
    assert twins.served() > 0


def test_that_a_deep_copy_steps_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = Twins(monkeypatch)
    twins.step(3)
    other, parameters = copy.deepcopy((twins.optimizers[0], twins.flat))
    twins.optimizers[0], twins.flat, kept = other, parameters, twins.flat
    before = [parameter.detach().clone() for parameter in kept]
    twins.step(3)
    twins.agree()
    assert all(torch.equal(one, its) for one, its in zip(kept, before, strict=True))


def test_that_a_sparse_gradient_is_refused_before_anything_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twins = Twins(monkeypatch)
    twins.step(3)
    for parameters in (twins.flat, twins.plain):
        parameters[6].grad = torch.ones(5, 4, dtype=torch.float64).to_sparse()
    before = [parameter.detach().clone() for parameter in twins.flat]
    for optimizer in twins.optimizers:
        with pytest.raises(RuntimeError, match="does not support sparse gradients"):
            optimizer.step()
    assert all(torch.equal(one, its) for one, its in zip(twins.flat, before, strict=True))
    twins.step(3)
    twins.agree()


def test_that_no_gradient_is_kept_and_that_autograd_notices_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twins = Twins(monkeypatch)
    twins.step(2)
    large = twins.flat[4]
    loss = (large**2).sum()
    loss.backward(retain_graph=True)
    assert large.grad is not None
    memory = weakref.ref(large.grad.untyped_storage())
    twins.step(1)
    assert memory() is None
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_that_what_does_not_fit_is_stepped_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (torch.bfloat16, torch.complex64, torch.float32, torch.float64)
    both = [[torch.nn.Parameter(torch.ones(3, dtype=kind)) for kind in kinds] for _ in range(2)]
    for own in both:
        own.append(torch.nn.Parameter(torch.ones(0)))
    optimizers = [optim.Momentum(own, lr=0.1) for own in both]
    Twins._refuse(optimizers[1])
    for _ in range(4):
        for own, optimizer in zip(both, optimizers, strict=True):
            for parameter in own:
                parameter.grad = torch.full_like(parameter, 0.3)
            optimizer.step()
    group: FlatGroup = optimizers[0]._flat_steps._groups[0]  # type: ignore[union-attr]
    assert group.served == 4
    assert {one.dtype for one in group.others} >= {torch.bfloat16, torch.complex64}
    for one, other in zip(*both, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=0.0)
    assert isinstance(optimizers[0], RuleOptimizer)
