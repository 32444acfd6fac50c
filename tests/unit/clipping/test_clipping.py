"""Clipping against torch.nn.utils."""

from __future__ import annotations

import pytest
import torch

from optlab.clipping.none import NoClipping
from optlab.clipping.norm import ClipByNorm
from optlab.hyperparameters import Hyperparameters


def clipped(g: torch.Tensor, threshold: object) -> torch.Tensor:
    return ClipByNorm().clip(g, torch.linalg.vector_norm(g, dim=1), Hyperparameters(threshold=threshold))


@pytest.mark.parametrize("threshold", [0.01, 1.0, 3.0, 100.0])
def test_that_clipping_by_norm_is_torchs_but_for_its_small_constant(threshold: float) -> None:
    g = torch.randn(1, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameter = torch.nn.Parameter(torch.zeros(12, dtype=torch.float64))
    parameter.grad = g[0].clone()
    torch.nn.utils.clip_grad_norm_([parameter], threshold)
    torch.testing.assert_close(clipped(g, threshold)[0], parameter.grad, rtol=1e-6, atol=0.0)


def test_that_a_clipped_gradient_has_exactly_the_threshold_as_norm_and_keeps_its_direction() -> None:
    g = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    assert clipped(g, 2.0).tolist() == [[pytest.approx(1.2), pytest.approx(-1.6)]]
    assert torch.equal(clipped(g, 5.0), g)


def test_that_each_run_is_clipped_by_its_own_norm_and_threshold() -> None:
    g = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    column = torch.tensor([[1.0], [0.25], [1.0]], dtype=torch.float64)
    torch.testing.assert_close(clipped(g, column), torch.tensor([[0.6, 0.8], [0.15, 0.2], [0.0, 0.0]], dtype=torch.float64))


def test_that_no_clipping_changes_nothing() -> None:
    g = torch.tensor([[3.0, 4.0]])
    assert NoClipping().clip(g, torch.tensor([5.0]), Hyperparameters()) is g
    assert not NoClipping.active
