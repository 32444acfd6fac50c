"""Curvature at a step, compared with plain torch: a full Hessian, and the loss at moved weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optlab.core.errors import InvalidInput
from optlab.tasks.curvature_views import LossPlaneView, SpectrumView
from optlab.tasks.model_point import ModelPoint

from .test_model_views import plain, point_of


def loss_at(point: ModelPoint, theta: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of the training examples, from the tensors of the small MLP alone."""
    moved = ModelPoint(point.experiment, point.step, point.objective, theta[None], point.data)
    part = point.data.training
    return torch.nn.functional.cross_entropy(plain(moved, part.x), torch.from_numpy(part.y))


def test_that_a_spectrum_has_the_ends_of_the_full_hessian_of_plain_torch() -> None:
    point = point_of()
    found = SpectrumView(top=3, bottom=2).compute(point)
    hessian = torch.autograd.functional.hessian(lambda theta: loss_at(point, theta), point.theta[0])
    expected = torch.linalg.eigvalsh(hessian).numpy()
    assert found.converged and found.step == 40 and found.examples == len(point.data.training)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.top, expected[::-1][:3], atol=2e-3 * scale)
    np.testing.assert_allclose(found.bottom, expected[:2], atol=2e-3 * scale)
    assert np.trapezoid(found.density, found.grid) == pytest.approx(1.0, abs=0.02)
    mean = np.trapezoid(found.density * found.grid, found.grid)
    assert mean == pytest.approx(expected.mean(), abs=0.05 * scale)


def test_that_a_plane_has_the_loss_of_plain_torch_at_moved_weights() -> None:
    point = point_of()
    found = LossPlaneView(points=5).compute(point)
    assert found.loss.shape == (5, 5) and found.a.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    here = float(loss_at(point, point.theta[0]))
    assert found.loss[2, 2] == pytest.approx(here, rel=1e-10)
    # Along one direction it is the loss at weights that are moved by as much: second differences
    # at the middle are the curvature along it.
    fine = LossPlaneView(points=3, reach=1e-3).compute(point)
    along = (fine.loss[0, 1] - 2.0 * fine.loss[1, 1] + fine.loss[2, 1]) / 1e-6
    hessian = torch.autograd.functional.hessian(lambda theta: loss_at(point, theta), point.theta[0])
    top = float(torch.linalg.eigvalsh(hessian)[-1])
    length = float(torch.linalg.vector_norm(point.theta))
    assert 0.0 < abs(along) <= top * length**2
    again = LossPlaneView(points=5).compute(point)
    np.testing.assert_array_equal(found.loss, again.loss)
    with pytest.raises(InvalidInput, match="--points is 1"):
        LossPlaneView(points=1).compute(point)
