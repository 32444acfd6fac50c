"""Conjugate gradients against a direct solve and against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg
import torch

from optlab.numerics.conjugate_gradients import Product, solve


def definite(runs: int, size: int, seed: int = 0) -> torch.Tensor:
    a = torch.randn(
        runs, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return a @ a.transpose(1, 2) / size + 0.1 * torch.eye(size, dtype=torch.float64)


def draw(runs: int, size: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(
        runs, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def product_with(a: torch.Tensor) -> Product:
    return lambda v: torch.einsum("rpq,rq->rp", a, v)


def test_that_systems_are_solved_as_directly() -> None:
    a, b = definite(3, 12), draw(3, 12)
    found = solve(product_with(a), b, iterations=100, tolerance=1e-13)
    torch.testing.assert_close(found.x, torch.linalg.solve(a, b), rtol=1e-9, atol=1e-10)
    assert not found.negative.any()


def test_that_every_iterate_is_scipys() -> None:
    a, b = definite(1, 15), draw(1, 15)
    iterates: list[np.ndarray] = []
    scipy.sparse.linalg.cg(
        a[0].numpy(),
        b[0].numpy(),
        rtol=1e-14,
        atol=0.0,
        maxiter=8,
        callback=lambda x: iterates.append(x.copy()),
    )
    for number, theirs in enumerate(iterates, start=1):
        ours = solve(product_with(a), b, iterations=number, tolerance=1e-14)
        np.testing.assert_allclose(ours.x[0].numpy(), theirs, rtol=1e-9, atol=1e-11)
        assert ours.iterations.tolist() == [number]


def test_that_as_many_products_are_enough_as_there_are_distinct_eigenvalues() -> None:
    eigenvalues = torch.tensor([1.0, 1.0, 5.0, 5.0, 5.0, 40.0], dtype=torch.float64)
    q = torch.linalg.qr(definite(1, 6)[0]).Q
    found = solve(
        product_with((q * eigenvalues @ q.T).unsqueeze(0)),
        draw(1, 6),
        iterations=50,
        tolerance=1e-10,
    )
    assert found.iterations.item() == 3


def test_that_the_reported_residual_is_the_true_one_and_within_the_tolerance() -> None:
    a, b = definite(4, 20), draw(4, 20)
    found = solve(product_with(a), b, iterations=100, tolerance=1e-3)
    residual = (b - product_with(a)(found.x)).norm(dim=1)
    torch.testing.assert_close(found.residual, residual, rtol=1e-6, atol=1e-12)
    assert (residual <= 1e-3 * b.norm(dim=1) * (1 + 1e-9)).all()
    assert (found.iterations < 20).all()


@pytest.mark.parametrize("tolerance", [0.3, 0.1, 0.03, 0.01])
def test_that_a_system_ends_at_the_first_residual_within_the_tolerance(tolerance: float) -> None:
    a = definite(20, 20)
    b = draw(20, 20) * torch.logspace(-1, 1, 20, dtype=torch.float64).unsqueeze(1)
    found = solve(product_with(a), b, iterations=100, tolerance=tolerance)
    before = solve(
        product_with(a), b, iterations=(found.iterations - 1).unsqueeze(1), tolerance=1e-14
    )
    allowed = tolerance * b.norm(dim=1)
    assert (found.residual <= allowed).all()
    assert (before.residual > allowed).all()


def test_that_a_system_that_has_ended_asks_for_no_more_products() -> None:
    a, b = definite(2, 10), draw(2, 10)
    given: list[torch.Tensor] = []

    def product(v: torch.Tensor) -> torch.Tensor:
        given.append(v)
        return product_with(a)(v)

    tolerance = torch.tensor([[0.5], [1e-8]], dtype=torch.float64)
    found = solve(product, b, iterations=50, tolerance=tolerance)
    asked = torch.stack([v.any(dim=1) for v in given])
    assert asked.sum(dim=0).tolist() == found.iterations.tolist()
    assert found.iterations[0] < found.iterations[1]


def test_that_a_system_gets_in_company_what_it_gets_alone() -> None:
    a, b = definite(3, 10), draw(3, 10)
    a[1] *= 100.0
    b[2] = 0.0
    tolerance = torch.tensor([[1e-2], [1e-6], [1e-3]], dtype=torch.float64)
    most = torch.tensor([[50.0], [4.0], [50.0]], dtype=torch.float64)
    together = solve(product_with(a), b, iterations=most, tolerance=tolerance)
    for run in range(3):
        here = slice(run, run + 1)
        alone = solve(
            product_with(a[here]),
            b[here],
            iterations=int(most[run]),
            tolerance=float(tolerance[run]),
        )
        torch.testing.assert_close(together.x[here], alone.x, rtol=1e-12, atol=1e-14)
        assert together.iterations[run] == alone.iterations[0]
    assert together.iterations[1] == 4 and together.iterations[2] == 0
    assert not together.x[2].any()


def test_that_negative_curvature_at_once_leaves_the_right_hand_side_itself() -> None:
    b = draw(2, 3)
    a = torch.stack([-torch.eye(3, dtype=torch.float64), 2.0 * torch.eye(3, dtype=torch.float64)])
    found = solve(product_with(a), b, iterations=10, tolerance=1e-10)
    assert found.negative.tolist() == [True, False]
    assert torch.equal(found.x[0], b[0])
    torch.testing.assert_close(found.x[1], 0.5 * b[1])
    assert found.residual[0].item() == pytest.approx(2.0 * b[0].norm().item())


def test_that_negative_curvature_later_keeps_what_was_reached_and_that_leads_downhill() -> None:
    a = torch.diag(torch.tensor([1.0, 2.0, 3.0, -0.5], dtype=torch.float64)).unsqueeze(0)
    b = torch.tensor([[1.0, 1.0, 1.0, 0.1]], dtype=torch.float64)
    found = solve(product_with(a), b, iterations=10, tolerance=1e-10)
    assert found.negative.item() and found.iterations.item() > 1
    before = solve(product_with(a), b, iterations=int(found.iterations.item()) - 1, tolerance=1e-10)
    assert not before.negative.item()
    torch.testing.assert_close(found.x, before.x)
    assert (found.x * b).sum() > 0.0


def test_that_what_is_not_finite_stays_so() -> None:
    a, b = definite(2, 4), draw(2, 4)
    b[0, 1] = float("nan")
    found = solve(product_with(a), b, iterations=20, tolerance=1e-8)
    assert found.x[0].isnan().all() and found.x[1].isfinite().all()
