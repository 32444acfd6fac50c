"""The objective against networks written with torch.nn, autograd and central differences."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from optlab.core import registry
from optlab.core.data import DataShape
from optlab.objective import objective as module
from optlab.objective.objective import Objective

R, M = 3, 7
ACTIVATIONS = {
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "softplus": torch.nn.Softplus,
    "gelu": torch.nn.GELU,
    "identity": torch.nn.Identity,
}


def make(
    hidden: list[int], activation: str, loss: str, task: str = "classes", **decay: float
) -> tuple[Objective, DataShape]:
    shape = DataShape((4,), 3, task)  # type: ignore[arg-type]
    model: Any = registry.build(
        "model", {"name": "mlp", "hidden": hidden, "activation": activation}
    )
    built: Any = registry.build("loss", {"name": loss, **decay})
    return Objective(model, built, shape), shape


def draw(
    objective: Objective, task: str = "classes"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    theta = torch.randn(R, objective.layout.total, dtype=torch.float64, generator=generator)
    x = torch.randn(R, M, 4, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 3, (R, M), generator=generator)
    return (
        theta,
        x,
        y if task == "classes" else torch.randn(R, M, 3, dtype=torch.float64, generator=generator),
    )


def torch_network(hidden: list[int], activation: str, theta: torch.Tensor) -> torch.nn.Sequential:
    widths = [4, *hidden, 3]
    layers: list[torch.nn.Module] = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        layers += [ACTIVATIONS[activation]()] if number else []
        layers.append(torch.nn.Linear(inputs, outputs))
    model = torch.nn.Sequential(*layers).double()
    torch.nn.utils.vector_to_parameters(theta.clone(), model.parameters())
    return model


def torch_loss(name: str, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if name == "cross_entropy":
        return torch.nn.functional.cross_entropy(outputs, y)
    target = torch.nn.functional.one_hot(y, 3).double() if not y.is_floating_point() else y
    return torch.nn.functional.mse_loss(outputs, target, reduction="sum") / len(y)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [[], [5], [6, 5]])
@pytest.mark.parametrize(
    ("loss", "task"),
    [("cross_entropy", "classes"), ("squared_error", "classes"), ("squared_error", "regression")],
)
def test_that_value_and_gradient_are_those_of_a_torch_network(
    activation: str, hidden: list[int], loss: str, task: str
) -> None:
    objective, _ = make(hidden, activation, loss, task)
    theta, x, y = draw(objective, task)
    losses, gradient = objective.value_and_gradient(theta, x, y)
    for run in range(R):
        model = torch_network(hidden, activation, theta[run])
        expected = torch_loss(loss, model(x[run]), y[run])
        expected.backward()
        torch.testing.assert_close(losses[run], expected.detach(), rtol=1e-12, atol=1e-13)
        flat = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        torch.testing.assert_close(gradient[run], flat, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_that_the_gradient_is_the_limit_of_central_differences(loss: str) -> None:
    objective, _ = make([5], "tanh", loss, l1=0.03, l2=0.2)
    theta, x, y = draw(objective)
    _, gradient = objective.value_and_gradient(theta, x, y)
    step = 1e-6

    def value(at: torch.Tensor) -> torch.Tensor:
        penalty = objective.penalty(at)
        assert penalty is not None
        return objective.losses(at, x, y) + penalty

    for place in range(objective.layout.total):
        offset = torch.zeros_like(theta)
        offset[:, place] = step
        slope = (value(theta + offset) - value(theta - offset)) / (2.0 * step)
        torch.testing.assert_close(gradient[:, place], slope, rtol=1e-6, atol=1e-8)


def test_that_losses_do_not_count_weight_decay_but_the_gradient_does() -> None:
    plain, _ = make([5], "tanh", "cross_entropy")
    decayed, _ = make([5], "tanh", "cross_entropy", l1=0.1, l2=0.3)
    theta, x, y = draw(plain)
    losses, gradient = plain.value_and_gradient(theta, x, y)
    again, with_decay = decayed.value_and_gradient(theta, x, y)
    torch.testing.assert_close(losses, again, rtol=0.0, atol=0.0)
    difference = plain.layout.named(with_decay - gradient)
    for name, part in plain.layout.named(theta).items():
        expected = (
            0.3 * part + 0.1 * part.sign() if name.endswith("weight") else torch.zeros_like(part)
        )
        torch.testing.assert_close(difference[name], expected, rtol=1e-10, atol=1e-12)


def test_that_the_penalty_is_of_weights_only_and_reported_separately() -> None:
    objective, _ = make([5], "tanh", "cross_entropy", l1=0.1, l2=0.3)
    theta, _, _ = draw(objective)
    weights = [
        part for name, part in objective.layout.named(theta).items() if name.endswith("weight")
    ]
    expected = sum(
        0.1 * w.abs().sum(dim=(1, 2)) + 0.15 * w.square().sum(dim=(1, 2)) for w in weights
    )
    torch.testing.assert_close(objective.penalty(theta), expected)
    assert make([5], "tanh", "cross_entropy")[0].penalty(theta) is None


@pytest.mark.parametrize("rows", [1, 4, 10**6])
def test_that_an_evaluation_in_chunks_is_the_evaluation_at_once(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, shape = make([5], "tanh", "cross_entropy", l2=0.5)
    theta, _, _ = draw(objective)
    generator = torch.Generator().manual_seed(6)
    x, y = (
        torch.randn(50, 4, dtype=torch.float64, generator=generator),
        torch.randint(0, 3, (50,), generator=generator),
    )
    monkeypatch.setattr(module, "CHUNK_VALUES", rows * R * shape.width)
    losses, errors, margins = objective.evaluate(theta, x, y)
    assert errors is not None and margins is not None
    for run in range(R):
        outputs = torch_network([5], "tanh", theta[run])(x).detach()
        torch.testing.assert_close(
            losses[run],
            torch.nn.functional.cross_entropy(outputs, y, reduction="none"),
            rtol=1e-12,
            atol=1e-13,
        )
        assert torch.equal(errors[run], (outputs.argmax(dim=1) != y).double())
        by_hand = [
            float(row[label] - max(value for k, value in enumerate(row) if k != label))
            for row, label in zip(outputs, y, strict=True)
        ]
        torch.testing.assert_close(
            margins[run], torch.tensor(by_hand, dtype=torch.float64), rtol=1e-12, atol=1e-13
        )


def test_that_regression_has_no_zero_one_error() -> None:
    objective, _ = make([5], "tanh", "squared_error", "regression")
    theta, x, y = draw(objective, "regression")
    assert objective.evaluate(theta, x[0], y[0])[1:] == (None, None)


def test_that_the_gradient_neither_writes_to_nor_is_tied_to_the_parameters() -> None:
    objective, _ = make([5], "relu", "squared_error")
    theta, x, y = draw(objective)
    before = theta.clone()
    losses, gradient = objective.value_and_gradient(theta, x, y)
    assert torch.equal(theta, before)
    assert not (theta.requires_grad or losses.requires_grad or gradient.requires_grad)
