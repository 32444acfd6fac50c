"""What a probe measures agrees with derivatives taken the long way, and leaves no trace."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from optlab.watch.probing import Probe
from tests.unit.watch.conftest import batch, mlp


def probe(model: torch.nn.Module, closure: Any, points: int = 0) -> Any:
    return Probe(closure, [model], list(model.parameters()), 1, points).measure()


def double(model: torch.nn.Module) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    x, y = batch(rows=24)
    return model.double(), x.double(), y


def derivatives(
    model: torch.nn.Module, loss: Callable[[], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient and whole Hessian, row by row."""
    parameters = list(model.parameters())
    parts = torch.autograd.grad(loss(), parameters, create_graph=True)
    g = torch.cat([part.reshape(-1) for part in parts])
    rows = [
        torch.cat(
            [
                part.reshape(-1)
                for part in torch.autograd.grad(
                    each, parameters, retain_graph=True, materialize_grads=True
                )
            ]
        )
        for each in g
    ]
    return g.detach(), torch.stack(rows)


def test_that_curvature_agrees_with_the_whole_hessian() -> None:
    model, x, y = double(mlp())
    result = probe(model, lambda: cross_entropy(model(x), y))
    g, hessian = derivatives(model, lambda: cross_entropy(model(x), y))
    values = result.values
    eigenvalues = torch.linalg.eigvalsh(hessian)
    top = float(eigenvalues[eigenvalues.abs().argmax()])
    assert values["top_eigenvalue"] == pytest.approx(top, rel=1e-3)
    assert values["probe_gradient_square"] == pytest.approx(float(g @ g), rel=1e-9)
    assert values["probe_gradient_curvature"] == pytest.approx(float(g @ hessian @ g), rel=1e-9)
    assert values["probe_loss"] == pytest.approx(float(cross_entropy(model(x), y).detach()))
    assert "noise_scale" not in values and result.slice is None


def test_that_the_noise_scale_agrees_with_gradients_of_single_examples() -> None:
    """tr Σ / gᵀg over the examples (McCandlish et al., 2018, equation 2.9)."""
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 1).double()
    x = torch.randn(4096, 5, dtype=torch.float64)
    y = x.sum(dim=1, keepdim=True) + 2.0 * torch.randn(4096, 1, dtype=torch.float64)
    residual = (model(x) - y).detach()
    gradients = 2.0 * residual * torch.cat([x, torch.ones(4096, 1)], dim=1)
    mean = gradients.mean(dim=0)
    trace = float((gradients - mean).square().sum()) / 4095
    expected = trace / (float(mean @ mean) - trace / 4096)

    def scale(order: torch.Tensor) -> float:
        losses = probe(model, lambda: (model(x[order]) - y[order]).square()[:, 0])
        return losses.values["noise_scale"]

    scales = [scale(torch.randperm(4096)) for _ in range(20)]
    # Eight groups: the trace has a relative standard deviation of √(2 / (7 · 6)) a measurement.
    assert np.mean(scales) == pytest.approx(expected, rel=0.15)


def test_that_a_slice_is_the_loss_along_the_gradient() -> None:
    model, x, y = double(mlp())
    result = probe(model, lambda: cross_entropy(model(x), y), points=5)
    g, _ = derivatives(model, lambda: cross_entropy(model(x), y))
    before = [p.detach().clone() for p in model.parameters()]
    norm = float(torch.cat([p.reshape(-1) for p in before]).norm())
    assert result.slice["distances"] == pytest.approx(
        [s * 0.05 * norm for s in (-1, -0.5, 0, 0.5, 1)]
    )
    for distance, value in zip(result.slice["distances"], result.slice["losses"], strict=True):
        parts = (g * (-distance / float(g.norm()))).split([p.numel() for p in before])
        with torch.no_grad():
            for p, was, part in zip(model.parameters(), before, parts, strict=True):
                p.copy_(was + part.reshape(p.shape))
            assert value == pytest.approx(float(cross_entropy(model(x), y)), rel=1e-9)
    assert result.slice["losses"][3] < result.slice["losses"][2]


def test_that_a_probe_leaves_no_trace() -> None:
    model = mlp(norm=True, drop=0.5)
    x, y = batch()
    cross_entropy(model(x), y).backward()
    storages = [p.data_ptr() for p in model.parameters()]
    tensors = [*model.parameters(), *(p.grad for p in model.parameters()), *model.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    expected = (torch.rand(2).tolist(), random.random(), np.random.rand())
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)

    def closure() -> torch.Tensor:
        model.eval()
        model.train()
        random.random()
        np.random.rand()
        loss = cross_entropy(model(x), y)
        loss.backward(retain_graph=True, create_graph=False)  # although it should not
        return loss

    model[1].eval()
    probe(model, closure, points=3)
    assert (torch.rand(2).tolist(), random.random(), np.random.rand()) == expected
    now = [*model.parameters(), *(p.grad for p in model.parameters()), *model.buffers()]
    assert all(one is other for one, other in zip(now, tensors, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(tensors, before, strict=True))
    assert [p.data_ptr() for p in model.parameters()] == storages
    assert model[0].training and not model[1].training


def test_that_attention_and_recurrent_layers_have_second_derivatives() -> None:
    torch.manual_seed(0)
    attention = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    recurrent = torch.nn.LSTM(8, 8, batch_first=True)
    model = torch.nn.ModuleList([attention, recurrent])
    x = torch.randn(4, 5, 8)
    result = probe(model, lambda: recurrent(attention(x))[0].square().mean())
    assert result.values["probe_gradient_curvature"] > 0.0 < result.values["top_eigenvalue"]


@pytest.mark.parametrize(
    ("closure", "words"),
    [
        (lambda _model: 3.0, "returns a loss"),
        (lambda model: model(batch()[0]), "returns a loss"),
        (lambda _model: torch.tensor(3.0), "does not depend on the parameters"),
    ],
)
def test_that_a_closure_that_returns_something_else_is_refused(closure: Any, words: str) -> None:
    model = mlp()
    with pytest.raises(ValueError, match=words):
        probe(model, lambda: closure(model))
