"""Loading a state: every class of ours, from every class of ours and of torch.

Either the next steps are those of the optimizer that saved it, or one sentence refuses it.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

import optlab.optim
from optlab.optim import RuleOptimizer

OURS = [name for name in dir(optlab.optim) if name not in ("ClosureOptimizer", "RuleOptimizer")]
TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "ASGD": ("ASGD", {}),
    "Adadelta": ("Adadelta", {"lr": 0.7, "rho": 0.8, "weight_decay": 0.1}),
    "Adafactor": ("Adafactor", {}),
    "Adagrad": ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.3}),
    "Adagrad, lr_decay": ("Adagrad", {"lr_decay": 0.1}),
    "Adam": ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.1}),
    "Adam, amsgrad": ("Adam", {"amsgrad": True}),
    "Adam, decoupled": ("Adam", {"decoupled_weight_decay": True}),
    "Adam, maximize": ("Adam", {"lr": torch.tensor(0.01).double(), "maximize": True}),
    "AdamW": ("AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    "Adamax": ("Adamax", {}),
    "LBFGS": ("LBFGS", {}),
    "Muon": ("Muon", {}),
    "NAdam": ("NAdam", {}),
    "RAdam": ("RAdam", {}),
    "RMSprop": ("RMSprop", {"alpha": 0.9, "eps": 1e-3}),
    "RMSprop, momentum": ("RMSprop", {"momentum": 0.5}),
    "RMSprop, centered": ("RMSprop", {"centered": True}),
    "Rprop": ("Rprop", {}),
    "SGD": ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "SGD, momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "SGD, nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "SGD, dampening": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}),
    "SparseAdam": ("SparseAdam", {}),
}
EQUAL = {
    ("SGD", "SGD"),
    ("Momentum", "SGD"),
    ("Momentum", "SGD, momentum"),
    ("Nesterov", "SGD, nesterov"),
    ("Adam", "Adam"),
    ("Adam", "Adam, maximize"),
    ("AdamW", "Adam, decoupled"),
    ("AdamW", "AdamW"),
    ("RMSProp", "RMSprop"),
    ("AdaGrad", "Adagrad"),
    ("AdaDelta", "Adadelta"),
}
"""Ours and torch's, where ours continues torch's steps."""

Closure = Callable[[], Any]


def parameters() -> list[torch.nn.Parameter]:
    """Two groups' worth of matrices, because Muon takes nothing else."""
    values = torch.sin(torch.arange(18, dtype=torch.float64))
    return [torch.nn.Parameter(part.reshape(-1, 3).clone()) for part in values.split([6, 12])]


def loss_of(tensors: list[torch.nn.Parameter]) -> torch.Tensor:
    loss: torch.Tensor = sum(  # type: ignore[assignment]
        ((tensor - 0.3) ** 2 * (1.0 + number) + torch.cos(3.0 * tensor)).sum()
        for number, tensor in enumerate(tensors)
    )
    return loss


def outputs_of(tensors: list[torch.nn.Parameter]) -> torch.Tensor:
    """Outputs ``[5, 6]`` of a model whose layers the parameters are, for five examples."""
    x = torch.cos(torch.arange(15, dtype=torch.float64)).reshape(5, 3)
    return torch.cat([torch.nn.functional.linear(x, tensor) for tensor in tensors], dim=1)


def step(optimizer: torch.optim.Optimizer, tensors: list[torch.nn.Parameter]) -> None:
    def differentiated() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(tensors)
        loss.backward()
        return loss

    def plain() -> Any:
        return loss_of(tensors)

    def predicting() -> Any:
        outputs = outputs_of(tensors)
        decay = sum(tensor.square().sum() for tensor in tensors)
        return torch.nn.functional.cross_entropy(outputs, torch.arange(5)) + 0.01 * decay, outputs

    ours = isinstance(optimizer, optlab.optim.ClosureOptimizer)
    if isinstance(optimizer, (RuleOptimizer, torch.optim.SparseAdam)):
        differentiated()
        if isinstance(optimizer, torch.optim.SparseAdam):
            for tensor in tensors:
                assert tensor.grad is not None
                tensor.grad = tensor.grad.to_sparse()
        optimizer.step()
    elif ours and optimizer.rule.needs_examples:
        # Two of the three examples, others at each step.
        taken = int(optimizer.state.get(tensors[0], {}).get("step", 0))
        rows = (torch.arange(2) + taken) % 3
        optimizer.step(
            lambda: torch.stack([(1.0 + row) * loss_of(tensors) for row in rows.tolist()]),
            rows=rows,
        )
    elif ours and optimizer.rule.needs_full_gradient:
        optimizer.step(plain, plain)  # the batch is the entire training set
    elif ours and optimizer.rule.needs_predictions:
        optimizer.step(predicting)
    else:
        optimizer.step(plain if ours else differentiated)


def ours(name: str, tensors: list[torch.nn.Parameter], **values: Any) -> Any:
    return getattr(optlab.optim, name)(tensors, **values)


def stateful(name: str, tensors: list[torch.nn.Parameter]) -> Any:
    """One of ours with the values that its state in these tests takes.

    The number of training examples is one that :func:`step` uses. Damping is controlled where it
    can be, and is part of the state then.
    """
    accepted = inspect.signature(getattr(optlab.optim, name)).parameters
    values = {"examples": 3, "control": "damping"}
    return ours(name, tensors, **{key: values[key] for key in values if key in accepted})


def theirs(name: str, steps: int) -> tuple[list[torch.nn.Parameter], torch.optim.Optimizer]:
    cls, arguments = TORCH[name]
    tensors = parameters()
    optimizer: torch.optim.Optimizer = getattr(torch.optim, cls)(tensors, **arguments)
    for _ in range(steps):
        step(optimizer, tensors)
    return tensors, optimizer


def test_that_all_optimizers_of_torch_are_tried() -> None:
    classes = {
        name
        for name, value in vars(torch.optim).items()
        if inspect.isclass(value)
        and issubclass(value, torch.optim.Optimizer)
        and value is not torch.optim.Optimizer
    }
    assert classes == {cls for cls, _ in TORCH.values()}
    assert len(OURS) > 15


@pytest.mark.parametrize(
    "steps", [*(pytest.param(steps, marks=pytest.mark.soak) for steps in (0, 1)), 4]
)
@pytest.mark.parametrize("source", TORCH)
def test_that_torchs_state_is_refused_in_a_sentence_where_it_cannot_be_continued(
    source: str, steps: int
) -> None:
    tensors, reference = theirs(source, steps)
    saved = copy.deepcopy(reference.state_dict())
    refusing = [name for name in OURS if (name, source) not in EQUAL]
    assert refusing
    for name in refusing:
        optimizer = ours(name, copy.deepcopy(tensors))
        before = str(optimizer.state_dict())
        with pytest.raises(
            ValueError, match=rf"^{name}: the state is one of torch\.optim\.\w+, .*"
        ):
            optimizer.load_state_dict(saved)
        assert str(optimizer.state_dict()) == before


@pytest.mark.parametrize(
    "steps", [*(pytest.param(steps, marks=pytest.mark.soak) for steps in (0, 1)), 4]
)
@pytest.mark.parametrize(("name", "source"), sorted(EQUAL))
def test_that_torchs_state_is_continued_exactly(name: str, source: str, steps: int) -> None:
    tensors, reference = theirs(source, steps)
    own = copy.deepcopy(tensors)
    optimizer = ours(name, own)
    optimizer.load_state_dict(copy.deepcopy(reference.state_dict()))
    for number in range(5):
        if number == 3:
            for one in (reference, optimizer):
                one.param_groups[0]["lr"] = one.param_groups[0]["lr"] * 0.5
        step(reference, tensors)
        step(optimizer, own)
        for ours_now, theirs_now in zip(own, tensors, strict=True):
            torch.testing.assert_close(ours_now, theirs_now, rtol=1e-10, atol=1e-12)


def test_that_a_refusal_names_the_argument_and_the_class_that_can_continue() -> None:
    _, reference = theirs("SGD, nesterov", 2)
    with pytest.raises(ValueError, match="nesterov is true") as refusal:
        ours("Momentum", parameters()).load_state_dict(reference.state_dict())
    assert str(refusal.value) == (
        "Momentum: the state is one of torch.optim.SGD, whose nesterov is true, but Momentum can"
        " only continue false. Use optlab.optim.Nesterov."
    )
    _, reference = theirs("Adam", 2)
    state = reference.state_dict()
    del state["param_groups"][0]["decoupled_weight_decay"]
    with pytest.raises(ValueError, match="does not say its decoupled_weight_decay"):
        ours("Adam", parameters()).load_state_dict(state)
    state = theirs("Adam", 2)[1].state_dict()
    state["param_groups"][0]["eps"] = 0.0
    with pytest.raises(ValueError, match=r"Adam: eps is 0\.0, but it must be a number above 0"):
        ours("Adam", parameters()).load_state_dict(state)


@pytest.mark.parametrize("source", OURS)
def test_that_a_class_continues_its_own_state_and_refuses_that_of_the_others(source: str) -> None:
    tensors = parameters()
    saving = stateful(source, tensors)
    for _ in range(2):
        step(saving, tensors)
    saved = copy.deepcopy(saving.state_dict())
    for name in set(OURS) - {source}:
        with pytest.raises(
            ValueError, match=rf"^{name}: the state is one of optlab.optim.{source},"
        ):
            ours(name, parameters()).load_state_dict(saved)
    own = copy.deepcopy(tensors)
    optimizer = ours(source, own)
    optimizer.load_state_dict(saved)
    for _ in range(3):
        step(saving, tensors)
        step(optimizer, own)
    for ours_now, theirs_now in zip(own, tensors, strict=True):
        assert torch.equal(ours_now, theirs_now)


def _damages() -> dict[str, tuple[Callable[[dict[str, Any]], Any], str]]:
    def without(key: str) -> Callable[[dict[str, Any]], Any]:
        return lambda saved: saved.pop(key)

    def entry(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
        return lambda saved: saved["state"][0].update({key: value})

    def group(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
        return lambda saved: saved["param_groups"][0].update({key: value})

    return {
        "no state": (without("state"), "has no 'state'"),
        "no groups": (without("param_groups"), "has no 'param_groups'"),
        "a group fewer": (lambda saved: saved["param_groups"].pop(), "has 0 parameter groups"),
        "a group more": (
            lambda saved: saved["param_groups"].append(saved["param_groups"][0]),
            "has 2 parameter groups",
        ),
        "no list of parameters": (
            lambda saved: saved["param_groups"][0].pop("params"),
            "has no list 'params'",
        ),
        "a parameter fewer": (
            lambda saved: saved["param_groups"][0]["params"].pop(),
            "has 1 parameters, but that of the optimizer has 2|are in none of its groups",
        ),
        "a stranger": (
            lambda saved: saved["state"].update({17: dict(saved["state"][0])}),
            "in none of its groups: 17",
        ),
        "a list for a state": (lambda saved: saved["state"].update({0: [1]}), "must be a dict"),
        "no step": (lambda saved: saved["state"][0].pop("step"), "has no 'step'"),
        "a step that is no count": (entry("step", float("nan")), "must be a count"),
        "a negative step": (entry("step", torch.tensor(-1)), "must be a count"),
        "an entry too many": (entry("other", torch.zeros(2, 3)), "has 'other', which is unknown"),
        "a value out of range": (group("weight_decay", -1.0), "weight_decay is -1.0"),
    }


@pytest.mark.parametrize("damage", _damages())
@pytest.mark.parametrize("name", OURS)
def test_that_a_damaged_state_is_refused_when_it_is_loaded(name: str, damage: str) -> None:
    tensors = parameters()
    saving = stateful(name, tensors)
    step(saving, tensors)
    spoil, sentence = _damages()[damage]
    saved = copy.deepcopy(saving.state_dict())
    spoil(saved)
    if not saved.get("state", {0: True}).get(0, True):
        # The step was all: a parameter without a state has not been stepped yet.
        ours(name, parameters()).load_state_dict(saved)
        return
    optimizer = ours(name, parameters())
    before = str(optimizer.state_dict())
    with pytest.raises(ValueError, match=sentence) as refusal:
        optimizer.load_state_dict(saved)
    assert str(refusal.value).startswith(f"{name}: ") and str(refusal.value).endswith(".")
    assert str(optimizer.state_dict()) == before


@pytest.mark.parametrize("name", OURS)
def test_that_each_tensor_of_a_state_has_to_be_there_in_its_shape(name: str) -> None:
    tensors = parameters()
    saving = stateful(name, tensors)
    step(saving, tensors)
    saved = saving.state_dict()
    for entry in set(saved["state"].get(0, {})) - {"step", "ahead"}:
        for value, sentence in (
            (None, f"has no '{entry}'"),
            (torch.zeros(5, 7), f"has '{entry}' of shape \\[5, 7\\]"),
            (1.0, f"has {entry} = 1.0, but it must be a tensor"),
        ):
            spoiled = copy.deepcopy(saved)
            if value is None:
                del spoiled["state"][0][entry]
            else:
                spoiled["state"][0][entry] = value
            with pytest.raises(ValueError, match=sentence):
                ours(name, parameters()).load_state_dict(spoiled)


@pytest.mark.parametrize("damage", ["step", "shape", "missing"])
def test_that_a_damaged_state_of_torch_is_refused_when_it_is_loaded(damage: str) -> None:
    state = theirs("Adam", 2)[1].state_dict()
    entries = state["state"][0]
    if damage == "missing":
        del entries["exp_avg_sq"]
    else:
        entries["exp_avg" if damage == "shape" else "step"] = torch.zeros(4, 1)
    with pytest.raises(ValueError, match=r"^Adam: parameter 0 of the state has "):
        ours("Adam", parameters()).load_state_dict(state)


def test_that_a_state_without_the_name_of_its_class_is_told_by_its_arguments() -> None:
    tensors = parameters()
    saving = ours("Adam", tensors)
    step(saving, tensors)
    saved = saving.state_dict()
    del saved["optimizer"]
    ours("Adam", parameters()).load_state_dict(saved)
    with pytest.raises(ValueError, match="neither one of optlab"):
        ours("Lion", parameters()).load_state_dict(saved)
    with pytest.raises(ValueError, match="must be what state_dict"):
        ours("Adam", parameters()).load_state_dict([])


def test_that_the_values_of_a_scheduler_come_along() -> None:
    tensors, reference = theirs("SGD, momentum", 1)
    torch.optim.lr_scheduler.StepLR(reference, 3)
    optimizer = ours("Momentum", tensors)
    optimizer.load_state_dict(reference.state_dict())
    assert optimizer.param_groups[0]["initial_lr"] == 0.05
    assert optimizer.param_groups[0]["form"] == "torch"
    torch.optim.lr_scheduler.StepLR(optimizer, 3, last_epoch=2)


@pytest.mark.parametrize("source", ["torch", "ours"])
@pytest.mark.parametrize("ours, theirs", [("Momentum", "SGD, momentum"), ("Adam", "Adam")])
def test_that_both_optimizers_go_on_from_a_state_that_was_not_copied(
    ours: str, theirs: str, source: str
) -> None:
    name, values = TORCH[theirs]
    first = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    kind = getattr(torch.optim, name) if source == "torch" else getattr(optlab.optim, ours)
    if source == "ours":
        values = {"lr": values["lr"]}
    one = kind([first], **values)

    def step(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> None:
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()

    for _ in range(3):
        step(one, first)
    second = torch.nn.Parameter(first.detach().clone())
    other = getattr(optlab.optim, ours)([second])
    other.load_state_dict(one.state_dict())
    for _ in range(4):
        step(one, first)
        step(other, second)
    torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-14)
