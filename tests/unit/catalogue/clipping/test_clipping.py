"""Clipping against torch.nn.utils."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.catalogue.clipping.none import NoClipping
from optlab.catalogue.clipping.norm import ClipByNorm
from optlab.catalogue.clipping.value import ClipByValue
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment


def clipped(g: torch.Tensor, threshold: object) -> torch.Tensor:
    return ClipByNorm().clip(
        g, torch.linalg.vector_norm(g, dim=1), Hyperparameters(threshold=threshold)
    )


@pytest.mark.parametrize("threshold", [0.01, 1.0, 3.0, 100.0])
def test_that_clipping_by_norm_is_torchs_but_for_its_small_constant(threshold: float) -> None:
    g = torch.randn(1, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameter = torch.nn.Parameter(torch.zeros(12, dtype=torch.float64))
    parameter.grad = g[0].clone()
    torch.nn.utils.clip_grad_norm_([parameter], threshold)
    torch.testing.assert_close(clipped(g, threshold)[0], parameter.grad, rtol=1e-6, atol=0.0)


def test_that_a_clipped_gradient_has_exactly_the_threshold_as_norm_and_keeps_its_direction() -> (
    None
):
    g = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    assert clipped(g, 2.0).tolist() == [[pytest.approx(1.2), pytest.approx(-1.6)]]
    assert torch.equal(clipped(g, 5.0), g)


def test_that_each_run_is_clipped_by_its_own_norm_and_threshold() -> None:
    g = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    column = torch.tensor([[1.0], [0.25], [1.0]], dtype=torch.float64)
    torch.testing.assert_close(
        clipped(g, column), torch.tensor([[0.6, 0.8], [0.15, 0.2], [0.0, 0.0]], dtype=torch.float64)
    )


@pytest.mark.parametrize("threshold", [0.01, 0.5, 1.0, 100.0])
def test_that_clipping_by_value_is_torchs(threshold: float) -> None:
    g = torch.randn(3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    g[0, 0], g[1, 1] = threshold, -threshold
    parameter = torch.nn.Parameter(torch.zeros_like(g))
    parameter.grad = g.clone()
    torch.nn.utils.clip_grad_value_([parameter], threshold)
    h = Hyperparameters(threshold=threshold)
    norm = torch.linalg.vector_norm(g, dim=1)
    ours = ClipByValue().clip(g, norm, h)
    assert torch.equal(ours, parameter.grad)
    assert torch.equal(ClipByValue().clipped_share(g, norm, h), (ours != g).double().mean(dim=1))


def test_that_each_run_is_clipped_by_value_at_its_own_threshold() -> None:
    g = torch.tensor([[3.0, -0.2], [3.0, -0.2]], dtype=torch.float64)
    h = Hyperparameters(threshold=torch.tensor([[1.0], [0.1]], dtype=torch.float64))
    assert ClipByValue().clip(g, torch.linalg.vector_norm(g, dim=1), h).tolist() == [
        [1.0, -0.2],
        [0.1, -0.1],
    ]
    assert ClipByValue().clipped_share(g, torch.linalg.vector_norm(g, dim=1), h).tolist() == [
        0.5,
        1.0,
    ]


def test_that_by_norm_all_components_are_touched_or_none() -> None:
    g = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    norm = torch.linalg.vector_norm(g, dim=1)
    assert ClipByNorm().clipped_share(g, norm, Hyperparameters(threshold=0.6)).tolist() == [
        1.0,
        0.0,
        0.0,
    ]
    column = torch.tensor([[6.0], [0.4], [1.0]], dtype=torch.float64)
    assert ClipByNorm().clipped_share(g, norm, Hyperparameters(threshold=column)).tolist() == [
        0.0,
        1.0,
        0.0,
    ]
    assert NoClipping().clipped_share(g, norm, Hyperparameters()).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "clipping", [{"name": "norm", "threshold": 0.3}, {"name": "value", "threshold": 0.05}]
)
def test_that_a_run_tells_the_share_that_was_clipped_and_an_unclipped_one_has_no_such_series(
    build: Callable[..., Experiment], advanced: Any, clipping: dict[str, Any]
) -> None:
    sgd = {"name": "sgd", "lr": 0.1}
    clipped = [build(clipping=clipping, optimizer=sgd), build(optimizer=sgd, seed=2)]
    values = advanced(clipped, 40).recorder.flush()["clipped_share"].values
    assert 0.0 < values[:, 0].mean() < 1.0 and (values[:, 1] == 0.0).all()
    trainer = advanced(clipped[:1], 0)
    for step in range(40):
        before = trainer.theta.clone()
        trainer.advance()
        # The step of plain descent is the clipped gradient, which is at the threshold in the
        # reported share of its components.
        g = (before - trainer.theta) / 0.1
        if clipping["name"] == "value":
            assert ((g.abs() - 0.05).abs() < 1e-12).double().mean().item() == pytest.approx(
                values[step, 0]
            )
        else:
            assert (abs(g.norm().item() - 0.3) < 1e-12) == (values[step, 0] == 1.0)
    assert "clipped_share" not in advanced(clipped[1:], 3).recorder.flush()


def test_that_no_clipping_changes_nothing() -> None:
    g = torch.tensor([[3.0, 4.0]])
    assert NoClipping().clip(g, torch.tensor([5.0]), Hyperparameters()) is g
    assert not NoClipping.active
