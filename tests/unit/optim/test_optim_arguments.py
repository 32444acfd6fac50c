"""Arguments, groups and messages of the torch faces."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch

import optlab.optim
from optlab.core.errors import InvalidInput
from optlab.optim import RuleOptimizer


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(3))


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("SGD", {"lr": -1.0}, "SGD: lr is -1.0, but it must be a number at least 0."),
        ("SGD", {"lr": float("nan")}, "SGD: lr is nan, but it must be a number at least 0."),
        ("SGD", {"lr": float("inf")}, "SGD: lr is inf, but it must be a number at least 0."),
        ("SGD", {"lr": "fast"}, "SGD: lr is 'fast', but it must be a number at least 0."),
        ("SGD", {"lr": True}, "SGD: lr is true, but it must be a number at least 0."),
        ("SGD", {"lr": torch.tensor(-0.5)}, "SGD: lr is -0.5, but it must be a number at least 0."),
        (
            "Momentum",
            {"momentum": 1.0},
            "Momentum: momentum is 1.0, but it must be a number at least 0 and below 1.",
        ),
        (
            "Momentum",
            {"form": "pytorch"},
            "Momentum: form is 'pytorch', but it must be one of notes, torch.",
        ),
        (
            "Adam",
            {"betas": (0.9, 1.0)},
            "Adam: betas[1] is 1.0, but it must be a number at least 0 and below 1.",
        ),
        ("Adam", {"betas": 0.9}, "Adam: betas is 0.9, but it must be a tuple of 2 numbers."),
        ("Adam", {"betas": (0.9,)}, "Adam: betas is (0.9,), but it must be a tuple of 2 numbers."),
        ("Adam", {"eps": 0.0}, "Adam: eps is 0.0, but it must be a number above 0."),
        (
            "Adam",
            {"weight_decay": -1},
            "Adam: weight_decay is -1.0, but it must be a number at least 0.",
        ),
        (
            "Adam",
            {"weight_decay": None},
            "Adam: weight_decay is None, but it must be a number at least 0.",
        ),
        ("Nesterov", {"maximize": 1}, "Nesterov: maximize is 1, but it must be true or false."),
        ("Adam", {"fused": 1}, "Adam: fused is 1, but it must be true, false or None."),
        ("Adam", {"maximize": None}, "Adam: maximize is None, but it must be true or false."),
    ],
)
def test_that_a_value_that_is_not_allowed_is_refused_in_one_sentence(
    name: str, arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ValueError) as refusal:
        getattr(optlab.optim, name)([parameter()], **arguments)
    assert str(refusal.value) == sentence


def test_that_an_unknown_argument_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        TypeError,
        match=r"Momentum: got an unexpected keyword argument 'beta'; its signature is "
        r"Momentum\(params, lr=0.01, \*, mom",
    ):
        optlab.optim.Momentum([parameter()], beta=0.9)


def test_that_everything_after_the_rate_goes_by_name() -> None:
    assert optlab.optim.Momentum([parameter()], 0.5).param_groups[0]["lr"] == 0.5
    with pytest.raises(TypeError, match="too many positional arguments"):
        optlab.optim.Momentum([parameter()], 0.5, 0.9)


def test_that_the_signature_is_torchs_where_torch_has_the_argument() -> None:
    ours = inspect.signature(optlab.optim.Adam).parameters
    theirs = inspect.signature(torch.optim.Adam).parameters
    assert list(ours) == ["params", "lr", "betas", "eps", "weight_decay", "maximize", "fused"]
    for name in ("lr", "betas", "eps", "maximize"):
        assert ours[name].default == theirs[name].default
    assert list(inspect.signature(optlab.optim.Momentum).parameters) == [
        "params",
        "lr",
        "momentum",
        "form",
        "weight_decay",
        "maximize",
        "fused",
    ]


def test_that_whole_numbers_numpy_scalars_and_lists_are_numbers() -> None:
    optimizer = optlab.optim.Adam(
        [parameter()], lr=1, betas=[np.float32(0.5), 0], eps=np.float64(1e-6), weight_decay=1
    )
    assert optimizer.param_groups[0]["betas"] == (0.5, 0)


def test_that_a_groups_own_values_are_checked_too() -> None:
    with pytest.raises(ValueError, match=r"SGD: lr is -2\.0"):
        optlab.optim.SGD([{"params": [parameter()], "lr": -2.0}])
    optimizer = optlab.optim.SGD([parameter()], lr=0.5)
    with pytest.raises(ValueError, match=r"SGD: lr is -2\.0"):
        optimizer.add_param_group({"params": [parameter()], "lr": -2.0})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [parameter()]})
    assert optimizer.param_groups[1]["lr"] == 0.5


def test_that_a_scheduler_may_bring_the_rate_to_zero() -> None:
    weights = parameter()
    optimizer = optlab.optim.SGD([weights], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step == 0 else 1.0)
    moved = []
    for _ in range(2):
        before = weights.detach().clone()
        weights.grad = torch.ones(3)
        optimizer.step()
        scheduler.step()
        moved.append((before - weights.detach()).abs().max().item())
    assert moved == [0.0, 1.0]


def test_that_sparse_gradients_are_refused_before_anything_moves() -> None:
    table = torch.nn.Embedding(5, 2, sparse=True)
    dense = parameter()
    dense.grad = torch.ones(3)
    table(torch.tensor([1, 2])).sum().backward()
    optimizer = optlab.optim.SGD([dense, table.weight], lr=0.1)
    with pytest.raises(
        RuntimeError,
        match="SGD does not support sparse gradients; make the layer that has them dense",
    ):
        optimizer.step()
    assert torch.equal(dense, torch.ones(3))


def test_that_a_class_is_documented_by_its_components_page() -> None:
    text = inspect.getdoc(optlab.optim.Nesterov) or ""
    assert text.startswith(
        "Momentum with the gradient evaluated at the point to which the velocity would move."
    )
    for piece in (
        r"v \leftarrow \alpha v - \epsilon\, g",
        "momentum (float, optional): momentum α",
        ">>> optimizer.step()",
        "at_iterate",
        "weight_decay",
        "Algorithm 8.3",
        "loss.backward()",
    ):
        assert piece in text
    assert max(map(len, text.splitlines())) <= 110
    assert "look_ahead" not in (inspect.getdoc(optlab.optim.SGD) or "")


def test_that_the_module_lists_its_classes_and_names_them_when_one_is_missing() -> None:
    assert {"SGD", "Momentum", "Nesterov", "Adam", "RuleOptimizer"} <= set(dir(optlab.optim))
    assert issubclass(optlab.optim.SGD, RuleOptimizer) and issubclass(
        optlab.optim.SGD, torch.optim.Optimizer
    )
    assert optlab.optim.SGD is optlab.optim.SGD
    with pytest.raises(AttributeError, match=r"has no optimizer 'Sgd'; it has: .*SGD"):
        _ = optlab.optim.Sgd


def test_that_importing_it_leaves_torchs_threads_and_types_as_they_are() -> None:
    program = (
        "import os, torch\n"
        "def settings():\n"
        "    return torch.get_num_threads(), torch.get_num_interop_threads(), "
        "torch.get_default_dtype(), torch.is_grad_enabled()\n"
        "before = settings()\n"
        "import optlab.optim\n"
        "p = torch.nn.Parameter(torch.ones(2)); p.grad = torch.ones(2)\n"
        "for name in ('SGD', 'Momentum', 'Nesterov', 'Adam'): getattr(optlab.optim, "
        "name)([p]).step()\n"
        "assert settings() == before\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    alone = "import os; before = dict(os.environ); import optlab.optim; optlab.optim.SGD; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", alone], check=True)


def _loss(weights: torch.Tensor) -> torch.Tensor:
    return (weights - 2.0).square().sum()


def _step(optimizer: torch.optim.Optimizer, weights: torch.nn.Parameter) -> None:
    """Take a step with the closure that the class needs."""
    rule = type(optimizer).rule  # type: ignore[attr-defined]

    def closure() -> object:
        if not isinstance(optimizer, RuleOptimizer):
            if rule.needs_examples:
                return (weights - 2.0).square()
            if rule.needs_predictions:
                outputs = weights.unsqueeze(1) * torch.tensor([[1.0, -1.0]])
                return _loss(outputs[:, 0]), outputs
            return _loss(weights)
        optimizer.zero_grad()
        loss = _loss(weights)
        loss.backward()
        return loss

    # The batch is the entire training set.
    optimizer.step(*[closure] * (1 + getattr(rule, "needs_full_gradient", False)))


ALL = [name for name in dir(optlab.optim) if name not in ("ClosureOptimizer", "RuleOptimizer")]
RATED = [name for name in ALL if "lr" in inspect.signature(getattr(optlab.optim, name)).parameters]


@pytest.mark.parametrize("rate", [0.0, 0, torch.tensor(0.0), np.float64(0.0)])
@pytest.mark.parametrize("name", RATED)
def test_that_a_rate_of_zero_is_allowed_as_in_torch_and_freezes_the_parameters(
    name: str, rate: object
) -> None:
    weights = parameter()
    cls = getattr(optlab.optim, name)
    # A rule that remembers something of each example has three, all of which are in the batch.
    examples = {"examples": 3} if "examples" in inspect.signature(cls).parameters else {}
    optimizer = cls([{"params": [weights], "lr": rate}], **examples)
    for _ in range(2):
        _step(optimizer, weights)
    assert torch.equal(weights, torch.ones(3))
    optimizer.param_groups[0]["lr"] = 0.1
    _step(optimizer, weights)
    assert torch.isfinite(weights).all() and not torch.equal(weights, torch.ones(3))


@pytest.mark.parametrize("solver", ["exact", "products"])
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in RATED
        if "control" in inspect.signature(getattr(optlab.optim, name)).parameters
    ],
)
def test_that_a_rate_of_zero_leaves_a_controlled_damping_as_it_is(name: str, solver: str) -> None:
    weights = parameter()
    optimizer = getattr(optlab.optim, name)([weights], lr=0.0, control="damping", solver=solver)
    for _ in range(3):
        _step(optimizer, weights)
        assert optimizer.state[weights]["damping"].item() == pytest.approx(0.1)
        assert optimizer.note == ""
    assert torch.equal(weights, torch.ones(3))
    optimizer.param_groups[0]["lr"] = 0.1
    _step(optimizer, weights)
    assert _loss(weights) < 3.0


@pytest.mark.parametrize("name", RATED)
@pytest.mark.parametrize("rate", [-1e-9, float("nan"), float("inf"), torch.tensor(-0.5), False])
def test_that_a_rate_below_zero_or_no_number_is_refused(name: str, rate: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: lr is .*, but it must be a number at least 0"):
        getattr(optlab.optim, name)([{"params": [parameter()], "lr": rate}])


def test_that_one_group_may_be_frozen_while_the_other_is_trained() -> None:
    frozen, trained = parameter(), parameter()
    optimizer = optlab.optim.Adam([{"params": [frozen], "lr": 0.0}, {"params": [trained]}], lr=0.1)
    (_loss(frozen) + _loss(trained)).backward()
    optimizer.step()
    assert torch.equal(frozen, torch.ones(3)) and not torch.equal(trained, torch.ones(3))


def test_that_a_rate_of_zero_is_no_value_of_the_programs_own_field() -> None:
    with pytest.raises(InvalidInput, match="must be a number above 0"):
        optlab.optim.SGD.rule.build({"lr": 0.0}, "optimizer")


def test_that_a_closure_that_does_not_fit_the_curvature_is_refused_in_words() -> None:
    weights = torch.nn.Parameter(torch.ones(2, 3))
    x, y = torch.eye(3), torch.tensor([0, 1, 0])

    def twice() -> tuple[torch.Tensor, torch.Tensor]:
        loss = torch.nn.functional.cross_entropy(torch.nn.functional.linear(x, weights), y)
        return loss, torch.nn.functional.linear(x, weights)

    for name in ("GaussNewton", "HessianFree", "LevenbergMarquardt"):
        with pytest.raises(RuntimeError, match=rf"^{name}: the loss .* not computed from the outp"):
            getattr(optlab.optim, name)([weights]).step(twice)

    def without_layers() -> tuple[torch.Tensor, torch.Tensor]:
        outputs = (x.unsqueeze(1) * weights).sum(dim=2)
        return torch.nn.functional.cross_entropy(outputs, y), outputs

    with pytest.raises(RuntimeError, match=r"^KFAC: .*parameters\.0 is not the weight of one"):
        optlab.optim.KFAC([weights]).step(without_layers)
    assert torch.equal(weights, torch.ones(2, 3))
