"""Symmetric solves through eigenvalues against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optlab.numerics.symmetric import dense, solve


def indefinite(runs: int, size: int) -> torch.Tensor:
    a = torch.randn(
        runs, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    return a + a.transpose(1, 2)


def draw(runs: int, size: int) -> torch.Tensor:
    return torch.randn(runs, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_that_indefinite_systems_are_solved_as_numpy_does() -> None:
    a, b = indefinite(3, 9), draw(3, 9)
    damping = torch.tensor([[0.0], [0.5], [3.0]], dtype=torch.float64)
    found = solve(a, b, damping)
    for run in range(3):
        damped = a[run].numpy() + float(damping[run]) * np.eye(9)
        np.testing.assert_allclose(
            found.x[run].numpy(), np.linalg.solve(damped, b[run].numpy()), rtol=1e-9, atol=1e-11
        )
    np.testing.assert_allclose(
        found.eigenvalues.numpy(), np.linalg.eigvalsh(a.numpy()), rtol=1e-10, atol=1e-11
    )
    assert (found.eigenvalues < 0).any() and (found.eigenvalues > 0).any()


def test_that_absolute_values_come_before_the_damping() -> None:
    a, b = indefinite(2, 7), draw(2, 7)
    found = solve(a, b, 0.3, absolute=True)
    for run in range(2):
        values, vectors = np.linalg.eigh(a[run].numpy())
        theirs = vectors @ ((vectors.T @ b[run].numpy()) / (np.abs(values) + 0.3))
        np.testing.assert_allclose(found.x[run].numpy(), theirs, rtol=1e-10, atol=1e-12)


def test_that_a_singular_system_gets_its_least_norm_solution() -> None:
    factor = draw(3, 8).T
    a = (factor @ factor.T).unsqueeze(0)
    b = torch.einsum("rpq,rq->rp", a, draw(1, 8))
    theirs = np.linalg.pinv(a[0].numpy(), rcond=1e-10) @ b[0].numpy()
    np.testing.assert_allclose(solve(a, b).x[0].numpy(), theirs, rtol=1e-8, atol=1e-10)


def test_that_directions_without_an_eigenvalue_are_left_out_of_the_solution() -> None:
    a = torch.diag(torch.tensor([0.0, 2.0, -4.0], dtype=torch.float64)).unsqueeze(0)
    b = torch.tensor([[3.0, 1.0, 1.0]], dtype=torch.float64)
    assert solve(a, b).x[0].tolist() == [0.0, 0.5, -0.25]
    assert solve(a, b, 4.0).x[0].tolist() == pytest.approx([0.75, 1.0 / 6.0, 0.0])


def test_that_a_matrix_that_is_not_finite_spoils_its_own_run_only() -> None:
    a, b = indefinite(2, 4), draw(2, 4)
    a[1, 2, 2] = float("inf")
    found = solve(a, b, 0.1)
    assert found.x[0].isfinite().all() and found.x[1].isnan().all()


def test_that_a_matrix_is_read_off_its_products() -> None:
    a = torch.randn(2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert torch.equal(dense(lambda v: torch.einsum("rpq,rq->rp", a, v), draw(2, 5)), a)
